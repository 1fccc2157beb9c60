"""Audit records: who changed what, when, and from where."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import uuid4

from pydantic import Field

from jobtrail.models.filters import Filter, Moment, Name, Shown
from jobtrail.models.token import Role


class Outcome(StrEnum):
    """What became of an act."""

    DONE = "done"
    REFUSED = "refused"
    """It came too late, was not allowed, or asked for what is not there; nothing was changed."""
    FAILED = "failed"
    """A service that it needs was away; whether anything was changed is not known."""


@dataclass(slots=True, frozen=True, kw_only=True)
class AuditRecord:
    """One act of somebody."""

    at: datetime
    who: str
    """A token's name; `local` for whoever came in without one, `cli:NAME` for an account of the operating system."""
    role: Role | None
    """None for somebody unknown, who could not log in."""
    user_id: str | None
    """For whom they act, as the console knows them."""
    act: str
    """What they did, such as `job.cancel`."""
    target: str
    """To what: a job's id, a token's name; empty where that is clear."""
    origin: str
    """From where: a network address, or `cli`."""
    outcome: Outcome = Outcome.DONE
    details: Mapping[str, str] = field(default_factory=dict)
    """What else there is to know, without secrets."""
    id: str = field(default_factory=lambda: uuid4().hex)


class AuditFilter(Filter):
    """Which records are wanted: on the command line, over REST and on the page."""

    act: Annotated[Name | None, Shown(label="Act", placeholder="job.cancel")] = Field(
        None, examples=["job.cancel"], description="Only acts of this name."
    )
    since: Annotated[Moment | None, Shown(label="Since", placeholder="2h, 1d, 2026-11-22")] = Field(
        None, examples=["1d"], description="Only acts of this time or later."
    )

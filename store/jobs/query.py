"""Parts of queries that several reads of jobs and events share."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Document


@dataclass(slots=True, frozen=True, kw_only=True)
class EventFilter:
    """Which events of a job are asked for; None and empty mean any."""

    statuses: Sequence[Status] = ()
    text: str | None = None
    """A part of the message, in any case."""

    def query(self) -> Document:
        """Return what the database looks for."""
        states: Document = {"state": {"$in": self.statuses}} if self.statuses else {}
        return states | containing(("message",), self.text)


def containing(fields: Sequence[str], text: str | None) -> Document:
    """Match what has a text in one of some fields; anything where no text is asked for."""
    if not text:
        return {}
    # PCRE takes Python's escapes, but no NUL.
    part = {"$regex": re.escape(text).replace("\0", r"\x00"), "$options": "i"}
    return {"$or": [{field: part} for field in fields]}


def between(since: datetime | None, until: datetime | None) -> Document | None:
    """Match times from `since` on and before `until`; None where neither is given."""
    bounds = {"$gte": since, "$lt": until}
    return {name: moment for name, moment in bounds.items() if moment is not None} or None

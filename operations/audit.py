"""Keeps a record of each act of a person, wherever it was done, and of each one that was refused."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import structlog

from jobtrail.models.audit import AuditRecord, Outcome
from jobtrail.models.errors import JobTrailError, SettingError, StoreError, UnreachableError
from jobtrail.models.token import Role

log = structlog.get_logger()

DETAILS_VERSION = "1"
"""The shape of all acts' details, as docs/web.md lists them; records without a version are older."""
_MAX_REASON_CHARS = 300


@dataclass(slots=True, frozen=True, kw_only=True)
class Actor:
    """Who acts, and from where."""

    name: str
    """That of a token; `local` without one, `cli:NAME` for an account of the operating system."""
    role: Role | None
    """None for an unknown visitor."""
    user_id: str | None
    """The user of the console for whom they act."""
    origin: str
    """A network address, or `cli`."""


@dataclass(slots=True)
class AuditEntry:
    """What will be on record of an act; the act fills in what it finds out."""

    target: str
    details: dict[str, str] = field(default_factory=dict)


class AuditRecords(Protocol):
    """Where records are kept."""

    async def insert(self, record: AuditRecord, /) -> None:
        """Keep a record."""


def log_lost(record: AuditRecord, error: JobTrailError) -> None:
    """Log a record that could not be kept."""
    log.error(
        "Audit record not kept",
        action="web.audit_lost",
        error=str(error),
        at=record.at.isoformat(),
        who=record.who,
        act=record.act,
        target=record.target,
        origin=record.origin,
        outcome=record.outcome.value,
    )


class AuditBook:
    """Writes audit records. An act that is done stays done: a record that can't be kept goes to `on_lost` instead."""

    def __init__(self, records: AuditRecords, on_lost: Callable[[AuditRecord, JobTrailError], None] = log_lost) -> None:
        self._records = records
        self._on_lost = on_lost

    @asynccontextmanager
    async def act(
        self, actor: Actor, act: str, *, target: str = "", details: Mapping[str, str] | None = None
    ) -> AsyncIterator[AuditEntry]:
        """Put what is done inside on record when it ends: as done, or as refused or failed where it raises an error.

        Where the database is away there is nothing to write to, so its own error leaves no record.
        """
        entry = AuditEntry(target, dict(details or {}))
        try:
            yield entry
        except StoreError:
            raise
        except JobTrailError as error:
            outcome = Outcome.FAILED if isinstance(error, UnreachableError) else Outcome.REFUSED
            entry.details["why"] = str(error)[:_MAX_REASON_CHARS]
            await self.note(actor, act, target=entry.target, outcome=outcome, details=entry.details)
            raise
        await self.note(actor, act, target=entry.target, details=entry.details)

    async def note(
        self,
        actor: Actor,
        act: str,
        *,
        target: str = "",
        outcome: Outcome = Outcome.DONE,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Put an act on record whose outcome is known."""
        record = AuditRecord(
            at=datetime.now(UTC),
            who=actor.name,
            role=actor.role,
            user_id=actor.user_id,
            act=act,
            target=target,
            origin=actor.origin,
            outcome=outcome,
            details={"version": DETAILS_VERSION, **(details or {})},
        )
        try:
            await self._records.insert(record)
        except (StoreError, SettingError) as error:
            self._on_lost(record, error)

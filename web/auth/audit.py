"""Keeps a record of what somebody changes."""

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog

from jobtrail.models.audit import AuditRecord, Outcome
from jobtrail.models.errors import StoreError
from jobtrail.store.access.audit import AuditRepository
from jobtrail.web.auth.identity import Identity

log = structlog.get_logger()

NOBODY = "nobody"


class AuditBook:
    """Writes audit records.

    Args:
        records: Where they are kept.
    """

    def __init__(self, records: AuditRepository) -> None:
        self._records = records

    async def note(
        self,
        asker: Identity,
        act: str,
        *,
        target: str = "",
        outcome: Outcome = Outcome.DONE,
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Keep a record of an act, once it is known what became of it.

        What was done is done: where the record can't be kept, it goes to the log, and nothing is raised.

        Args:
            asker: Who did it.
            act: What they did, such as `job.cancel`.
            target: To what.
            outcome: What became of it.
            details: What else there is to know, without secrets.
        """
        await self._write(
            AuditRecord(
                at=datetime.now(UTC),
                who=asker.name,
                role=asker.role,
                user_id=asker.user_id,
                act=act,
                target=target,
                origin=asker.origin,
                outcome=outcome,
                details=details or {},
            )
        )

    async def note_refused_login(self, origin: str) -> None:
        """Keep a record of a login without a valid token.

        Args:
            origin: The address that it came from.
        """
        await self._write(
            AuditRecord(
                at=datetime.now(UTC),
                who=NOBODY,
                role=None,
                user_id=None,
                act="login",
                target="",
                origin=origin,
                outcome=Outcome.REFUSED,
            )
        )

    async def _write(self, record: AuditRecord) -> None:
        try:
            await self._records.insert(record)
        except StoreError as error:
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

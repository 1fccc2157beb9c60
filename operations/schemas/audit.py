"""Who changed what."""

from typing import Self

from jobtrail.models.audit import AuditRecord, Outcome
from jobtrail.models.token import Role
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.keyset import Page


class AuditRecordSchema(Schema):
    """One act of somebody; `origin` is the address that it came from, or `cli`."""

    id: str
    at: Timestamp
    who: str
    role: Role | None
    user_id: str | None
    act: str
    target: str
    origin: str
    outcome: Outcome
    details: dict[str, str]

    @classmethod
    def of(cls, record: AuditRecord) -> Self:
        """Make it of a record."""
        return cls(
            id=record.id,
            at=record.at,
            who=record.who,
            role=record.role,
            user_id=record.user_id,
            act=record.act,
            target=record.target,
            origin=record.origin,
            outcome=record.outcome,
            details=dict(record.details),
        )


class AuditListSchema(Schema):
    """One page of audit records, the latest first."""

    records: list[AuditRecordSchema]
    next: str | None

    @classmethod
    def of(cls, page: Page[AuditRecord]) -> Self:
        """Make it of a page."""
        return cls(records=[AuditRecordSchema.of(record) for record in page.rows], next=page.next)

"""Who changed what."""

from pydantic import Field

from jobtrail.models.audit import Outcome
from jobtrail.models.token import Role
from jobtrail.operations.schemas.base import Schema, Timestamp


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


class AuditListSchema(Schema):
    """One page of audit records, the latest first."""

    records: list[AuditRecordSchema] = Field(validation_alias="rows")
    next: str | None

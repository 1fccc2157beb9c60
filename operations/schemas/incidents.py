"""Incidents of the streams."""

from pydantic import Field

from jobtrail.models.incident import IncidentKind
from jobtrail.operations.schemas.base import Schema, Timestamp


class IncidentSchema(Schema):
    """A stream was not what its reader had left; `missing` is null where it can't be known."""

    id: str
    at: Timestamp
    kind: IncidentKind
    stream: str
    reader: str
    missing: int | None
    from_offset: int | None
    to_offset: int | None
    epoch: int
    seq: int
    detail: str
    acknowledged_at: Timestamp | None
    acknowledged_by: str | None


class IncidentListSchema(Schema):
    """One page of incidents, the latest first."""

    incidents: list[IncidentSchema] = Field(validation_alias="rows")
    next: str | None

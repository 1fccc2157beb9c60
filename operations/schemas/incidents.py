"""Incidents of the streams."""

from typing import Self

from jobtrail.models.incident import Incident, IncidentKind
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.keyset import Page


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

    @classmethod
    def of(cls, incident: Incident) -> Self:
        """Make it of an incident."""
        return cls(
            id=incident.id,
            at=incident.at,
            kind=incident.kind,
            stream=incident.stream,
            reader=incident.reader,
            missing=incident.missing,
            from_offset=incident.from_offset,
            to_offset=incident.to_offset,
            epoch=incident.epoch,
            seq=incident.seq,
            detail=incident.detail,
            acknowledged_at=incident.acknowledged_at,
            acknowledged_by=incident.acknowledged_by,
        )


class IncidentListSchema(Schema):
    """One page of incidents, the latest first."""

    incidents: list[IncidentSchema]
    next: str | None

    @classmethod
    def of(cls, page: Page[Incident]) -> Self:
        """Make it of a page."""
        return cls(incidents=[IncidentSchema.of(incident) for incident in page.rows], next=page.next)

"""Incidents: a stream is not what its reader left, so updates may be gone that were never stored."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from uuid import uuid4

from jobtrail.models.notifications.alert import Alert, AlertKind

CONSUMER = "consumer"
"""The reader that stores updates; each other one is a forwarder, `forward NAME`."""


class IncidentKind(StrEnum):
    """What happened to the stream."""

    RECREATED = "recreated"
    """It was deleted and recreated."""
    CUT = "cut"
    """It lost its end, as after a power failure of the broker."""
    OVERTAKEN = "overtaken"
    """Retention removed updates that were not read yet."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Incident:
    """One such break, as it was found when a stream was attached to."""

    kind: IncidentKind
    stream: str
    reader: str
    """Whose position it was: `CONSUMER`, or `forward NAME`."""
    missing: int | None
    """Updates that were removed before they were read; None where that can't be known. Where retention removed them
    their offsets are counted, and of those the broker takes one for itself in each segment file."""
    from_offset: int | None = None
    to_offset: int | None = None
    """The first and the last missing offset, where they are known."""
    epoch: int
    """The epoch that began with it."""
    seq: int
    """The number of the last update that was stored before it; no number is skipped by it."""
    detail: str
    """What happened and what to do, in plain words: see `incident_detail`."""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    id: str = field(default_factory=lambda: uuid4().hex[:12])


def incident_detail(
    kind: IncidentKind,
    stream: str,
    reader: str,
    *,
    missing: int | None,
    from_offset: int | None = None,
    to_offset: int | None = None,
) -> str:
    """Say what happened to a stream, and what to do.

    Args:
        kind: What happened.
        stream: The stream.
        reader: Whose position it was.
        missing: Updates that were removed before they were read; None where that can't be known.
        from_offset: The first missing offset, where it is known.
        to_offset: The last one.

    Returns:
        The sentences.
    """
    done = "stored" if reader == CONSUMER else f"copied by {reader}"
    match kind:
        case IncidentKind.OVERTAKEN:
            gone = "updates" if missing is None else f"up to {_count(missing)}"
            gone += "" if from_offset is None or to_offset is None else f" (offsets {from_offset:,} to {to_offset:,})"
            helps = "start more consumers" if reader == CONSUMER else "keep the forwarder running"
            way_out = f"Raise JOBTRAIL_STREAM_RETENTION_GB or {helps}."
            return f"Retention removed {gone} of {stream} before they were {done}. {way_out}"
        case IncidentKind.RECREATED:
            happened = f"{stream} was deleted and recreated."
        case IncidentKind.CUT:
            happened = f"{stream} lost its end, as after a power failure of the broker."
    return f"{happened} {_lost(missing, done)}"


def incident_alert(incident: Incident) -> Alert:
    """Make the alert of an incident, one for each.

    Args:
        incident: The incident.

    Returns:
        The alert.
    """
    return Alert(
        kind=AlertKind.STREAM_INCIDENT, cause=incident.detail, at=incident.at, run_id=f"incident {incident.id}"
    )


def _count(missing: int) -> str:
    return "1 update" if missing == 1 else f"{missing:,} updates"


def _lost(missing: int | None, done: str) -> str:
    if missing is None:
        return f"Updates that were not yet {done} are gone; how many is unknown."
    if missing == 0:
        return f"Nothing is missing: all its updates had been {done}."
    was = "was" if missing == 1 else "were"
    return f"{_count(missing)} that {was} not yet {done} {'is' if missing == 1 else 'are'} gone."

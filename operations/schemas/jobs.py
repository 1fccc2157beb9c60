"""Jobs, events and "No job ID" groups."""

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from jobtrail.heartbeat.liveness import Basis, StallKind
from jobtrail.models.jobs.job import Event
from jobtrail.models.jobs.status import Status
from jobtrail.operations.job_list import ListedJob
from jobtrail.operations.schemas.base import Schema, Timestamp


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


class StallSchema(Schema):
    """Why a running job counts as stalled, and how that is known."""

    kind: StallKind
    since: Timestamp
    basis: Basis
    evidence: str


class GapSchema(Schema):
    """Updates that were sent but have not arrived."""

    producer_id: str
    first: int
    last: int


class JobSchema(Schema):
    """One job, without its events."""

    job_id: str
    extractor_id: str
    resource_id: str
    user_id: str | None
    status: Status
    stalled: bool
    stall: StallSchema | None
    message: str
    percent: float | None
    attempts: int
    submitted_at: Timestamp | None
    started_at: Timestamp | None
    updated_at: Timestamp
    finished_at: Timestamp | None
    elapsed_s: Annotated[float | None, AfterValidator(_milliseconds)]
    event_count: int
    instance_id: str | None
    missing: list[GapSchema]

    @model_validator(mode="before")
    @classmethod
    def _of_listed(cls, listed: object) -> object:
        if not isinstance(listed, ListedJob):
            return listed
        gaps = [
            {"producer_id": producer, "first": first, "last": last}
            for producer, gaps in listed.job.missing.items()
            for first, last in gaps
        ]
        return cls.gathered(listed.job, stalled=listed.stall is not None, stall=listed.stall, missing=gaps)


class EventSchema(Schema):
    """One update; one that belongs to no job has null as `position` and `attempt`.

    One that a replay brought back names the replay and the dead letter that it was; else both are null.
    One that a bridge may have copied twice names the update of which it may be a repetition; else that is null.
    """

    id: str
    seq: int
    position: int | None
    attempt: int | None
    status: Status
    message: str
    percent: float | None
    event_time: Timestamp
    received_at: Timestamp
    late: bool
    replay_id: str | None
    letter_id: str | None
    maybe_repeated: str | None

    @model_validator(mode="before")
    @classmethod
    def _of_event(cls, event: object) -> object:
        if not isinstance(event, Event):
            return event
        update = event.update
        if event.placement is None:
            return cls.gathered(event, update, status=update.state, position=None, attempt=None, late=False)
        return cls.gathered(event, event.placement, update, status=update.state)


class MessageSchema(Schema):
    """One update as it came in, under the wire's own names: `status` is its text before anything was read from it.

    Secrets are masked. What a sender left out is null.
    """

    id: str
    position: int | None
    queue: str
    seq: int
    received_at: Timestamp
    message_id: str | None
    correlation_id: str | None
    file_id: str
    extractor_id: str
    job_id: str | None
    status: str
    start: Timestamp
    user_id: str | None
    percent: float | None
    producer_id: str | None
    sequence: int | None
    instance_id: str | None

    @model_validator(mode="before")
    @classmethod
    def _of_event(cls, event: object) -> object:
        if not isinstance(event, Event):
            return event
        update = event.update
        position = event.placement and event.placement.position
        return cls.gathered(event, update, position=position, file_id=update.resource_id, start=update.event_time)


class MessagePageSchema(Schema):
    """A part of a job's messages, in order; `next` and `previous` are `after` and `before` of the parts beside it."""

    messages: list[MessageSchema] = Field(validation_alias="events")
    previous: int | None
    next: int | None


class EventPageSchema(Schema):
    """A part of a job's timeline, in order; `next` and `previous` are `after` and `before` of the parts beside it."""

    events: list[EventSchema]
    previous: int | None
    next: int | None


class UnnamedEventListSchema(Schema):
    """One page of updates that name no job, in order of arrival."""

    events: list[EventSchema] = Field(validation_alias="rows")
    next: str | None


class UnnamedGroupSchema(Schema):
    """The updates of one extractor on one resource that name no job; `event_count` counts up to 1,000."""

    extractor_id: str
    resource_id: str
    status: Status
    message: str
    first_at: Timestamp
    updated_at: Timestamp
    event_count: int


class JobPageSchema(Schema):
    """One page of jobs."""

    jobs: list[JobSchema]
    next: str | None


class JobListSchema(Schema):
    """One page of jobs, the latest updated first, and on the first page the updates that name no job."""

    jobs: list[JobSchema]
    next: str | None
    no_job_id: list[UnnamedGroupSchema] = Field(validation_alias="unnamed")

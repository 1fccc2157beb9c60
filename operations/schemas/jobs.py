"""Jobs, events and "No job ID" groups."""

from collections.abc import Iterable
from typing import Self

from jobtrail.heartbeat.liveness import Basis, Stall, StallKind
from jobtrail.models.jobs.job import Event, JobState
from jobtrail.models.jobs.status import Status
from jobtrail.operations.job_list import JobList, ListedJob
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.jobs.jobs import EventPage
from jobtrail.store.jobs.without_job_id import UnnamedGroup
from jobtrail.store.keyset import Page


class StallSchema(Schema):
    """Why a running job counts as stalled, and how that is known."""

    kind: StallKind
    since: Timestamp
    basis: Basis
    evidence: str

    @classmethod
    def of(cls, stall: Stall) -> Self:
        """Make it of a stall."""
        return cls(kind=stall.kind, since=stall.since, basis=stall.basis, evidence=stall.evidence)


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
    elapsed_s: float | None
    event_count: int
    instance_id: str | None
    missing: list[GapSchema]

    @classmethod
    def of(cls, job: JobState, stall: Stall | None) -> Self:
        """Make it of a job.

        Args:
            job: The job.
            stall: Why it counts as stalled, if it does.
        """
        return cls(
            job_id=job.job_id,
            extractor_id=job.extractor_id,
            resource_id=job.resource_id,
            user_id=job.user_id,
            status=job.status,
            stalled=stall is not None,
            stall=stall and StallSchema.of(stall),
            message=job.message,
            percent=job.percent,
            attempts=job.attempts,
            submitted_at=job.submitted_at,
            started_at=job.started_at,
            updated_at=job.updated_at,
            finished_at=job.finished_at,
            elapsed_s=None if job.elapsed_s is None else round(job.elapsed_s, 3),
            event_count=job.event_count,
            instance_id=job.instance_id,
            missing=[
                GapSchema(producer_id=producer, first=first, last=last)
                for producer, gaps in job.missing.items()
                for first, last in gaps
            ],
        )


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

    @classmethod
    def of(cls, event: Event) -> Self:
        """Make it of an event."""
        update, placement = event.update, event.placement
        return cls(
            id=event.id,
            seq=event.seq,
            position=placement and placement.position,
            attempt=placement and placement.attempt,
            status=update.state,
            message=update.message,
            percent=update.percent,
            event_time=update.event_time,
            received_at=event.received_at,
            late=placement is not None and placement.late,
            replay_id=event.replay_id,
            letter_id=event.letter_id,
            maybe_repeated=event.maybe_repeated,
        )


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

    @classmethod
    def of(cls, event: Event) -> Self:
        """Make it of an event."""
        update = event.update
        return cls(
            id=event.id,
            position=event.placement and event.placement.position,
            queue=event.queue,
            seq=event.seq,
            received_at=event.received_at,
            message_id=event.message_id,
            correlation_id=event.correlation_id,
            file_id=update.resource_id,
            extractor_id=update.extractor_id,
            job_id=update.job_id,
            status=update.status,
            start=update.event_time,
            user_id=update.user_id,
            percent=update.percent,
            producer_id=update.producer_id,
            sequence=update.sequence,
            instance_id=update.instance_id,
        )


class MessagePageSchema(Schema):
    """A part of a job's messages, in order; `next` and `previous` are `after` and `before` of the parts beside it."""

    messages: list[MessageSchema]
    previous: int | None
    next: int | None

    @classmethod
    def of(cls, page: EventPage) -> Self:
        """Make it of a part of a timeline."""
        messages = [MessageSchema.of(event) for event in page.events]
        return cls(messages=messages, previous=page.previous, next=page.next)


class EventPageSchema(Schema):
    """A part of a job's timeline, in order; `next` and `previous` are `after` and `before` of the parts beside it."""

    events: list[EventSchema]
    previous: int | None
    next: int | None

    @classmethod
    def of(cls, page: EventPage) -> Self:
        """Make it of a part of a timeline."""
        return cls(events=[EventSchema.of(event) for event in page.events], previous=page.previous, next=page.next)


class UnnamedEventListSchema(Schema):
    """One page of updates that name no job, in order of arrival."""

    events: list[EventSchema]
    next: str | None

    @classmethod
    def of(cls, page: Page[Event]) -> Self:
        """Make it of a page."""
        return cls(events=[EventSchema.of(event) for event in page.rows], next=page.next)


class UnnamedGroupSchema(Schema):
    """The updates of one extractor on one resource that name no job; `event_count` counts up to 1,000."""

    extractor_id: str
    resource_id: str
    status: Status
    message: str
    first_at: Timestamp
    updated_at: Timestamp
    event_count: int

    @classmethod
    def of(cls, group: UnnamedGroup) -> Self:
        """Make it of a group."""
        return cls(
            extractor_id=group.extractor_id,
            resource_id=group.resource_id,
            status=group.status,
            message=group.message,
            first_at=group.first_at,
            updated_at=group.updated_at,
            event_count=group.event_count,
        )


class JobPageSchema(Schema):
    """One page of jobs."""

    jobs: list[JobSchema]
    next: str | None

    @classmethod
    def of(cls, jobs: Iterable[ListedJob], next_: str | None) -> Self:
        """Make it of the jobs of a page and the cursor of the next one."""
        return cls(jobs=_jobs(jobs), next=next_)


class JobListSchema(Schema):
    """One page of jobs, the latest updated first, and on the first page the updates that name no job."""

    jobs: list[JobSchema]
    next: str | None
    no_job_id: list[UnnamedGroupSchema]

    @classmethod
    def of(cls, found: JobList) -> Self:
        """Make it of a page."""
        return cls(
            jobs=_jobs(found.jobs),
            next=found.next,
            no_job_id=[UnnamedGroupSchema.of(group) for group in found.unnamed],
        )


def _jobs(jobs: Iterable[ListedJob]) -> list[JobSchema]:
    return [JobSchema.of(each.job, each.stall) for each in jobs]

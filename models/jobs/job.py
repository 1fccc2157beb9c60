"""Jobs, their events, and the state machine that folds events into jobs.

Dataclasses that are made once per message are not frozen, here and in the modules beside: freezing triples the cost.

The fold is the only place where a job's state changes. The consumer applies it to each new event; a rebuild applies
it to all stored events of a job, in order, and must arrive at the same job.
"""

from dataclasses import dataclass, field
from datetime import datetime

from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate

MAX_GAPS = 100
"""Gaps kept per producer; further ones widen the last."""
MAX_PRODUCERS = 32
"""Producers remembered per job; the oldest without gaps is forgotten first."""

Gap = tuple[int, int]
"""First and last missing sequence number, both included."""


@dataclass(slots=True, kw_only=True)
class Placement:
    """Where an event stands in its job."""

    position: int
    """1-based place in the job's timeline; the order is that of arrival."""
    attempt: int
    """The attempt it belongs to; 0 before the first start."""
    late: bool
    """It came after its attempt had ended or out of its sender's order, and changed no state."""


@dataclass(slots=True, kw_only=True)
class Event:
    """One stored update."""

    id: str
    """Unique per update."""
    queue: str
    """The stream it came from, or the import's name."""
    seq: int
    """Order of arrival in that stream, from 1."""
    received_at: datetime
    """When the consumer took it, UTC."""
    update: StatusUpdate
    placement: Placement | None = None
    """None only for updates without a job id, which belong to no job."""
    message_id: str | None = None
    correlation_id: str | None = None
    replay_id: str | None = None
    """The replay that brought it back from the dead letters."""
    letter_id: str | None = None
    """The dead letter that it was."""
    bridge_term: int | None = None
    """Which of the bridges of its queue copied it, where one did."""
    maybe_repeated: str | None = None
    """The earlier update of which it may be a second copy, where a bridge can't tell."""


@dataclass(slots=True, kw_only=True)
class ProducerProgress:
    """What is known of one producer's numbering within one job."""

    highest: int = 0
    missing: list[Gap] = field(default_factory=list)

    def note(self, sequence: int) -> bool:
        """Count one sequence number.

        Args:
            sequence: The number, from 1.

        Returns:
            Whether it came in order; False for one that fills a gap or repeats.
        """
        if sequence > self.highest:
            if sequence > self.highest + 1:
                self._open_gap((self.highest + 1, sequence - 1))
            self.highest = sequence
            return True
        for index, (first, last) in enumerate(self.missing):
            if first <= sequence <= last:
                rest = [(first, sequence - 1), (sequence + 1, last)]
                self.missing[index : index + 1] = [gap for gap in rest if gap[0] <= gap[1]]
                break
        return False

    def _open_gap(self, gap: Gap) -> None:
        if len(self.missing) < MAX_GAPS:
            self.missing.append(gap)
        else:
            self.missing[-1] = (self.missing[-1][0], gap[1])


@dataclass(slots=True, kw_only=True)
class JobState:
    """One piece of work, as its events tell it."""

    job_id: str
    extractor_id: str
    resource_id: str
    status: Status
    message: str
    """The words of the latest update that changed or confirmed the state."""
    user_id: str | None = None
    percent: float | None = None
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    """The first attempt's start."""
    updated_at: datetime
    """The worker's time of the latest update in order."""
    finished_at: datetime | None = None
    seen_at: datetime
    """When the consumer took the newest update: the clock that silence is measured against."""
    attempts: int = 0
    event_count: int = 0
    owner_id: str | None = None
    """The producer that started the current attempt, where it names itself."""
    instance_id: str | None = None
    """The worker process of the current attempt, where it names itself."""
    producers: dict[str, ProducerProgress] = field(default_factory=dict)

    @property
    def begun_at(self) -> datetime:
        """When it was asked for, as far as that is known: by it an extractor's jobs on one resource are in order."""
        return self.submitted_at or self.started_at or self.updated_at

    @property
    def elapsed_s(self) -> float | None:
        """Seconds from the first start to the end; None while the job is not finished or was never started."""
        if self.started_at is None or self.finished_at is None:
            return None
        return max(0.0, (self.finished_at - self.started_at).total_seconds())

    @property
    def missing(self) -> dict[str, list[Gap]]:
        """The gaps in each producer's numbering: updates that were sent but have not arrived."""
        return {producer: progress.missing for producer, progress in self.producers.items() if progress.missing}


def fold(job: JobState | None, update: StatusUpdate, received_at: datetime) -> tuple[JobState, Placement]:
    """Apply one update to its job.

    Args:
        job: The job so far, or None when this is its first update. It is changed in place.
        update: The update; it must carry a job id.
        received_at: When the consumer took it.

    Returns:
        The job after the update, and the update's place in it.

    Raises:
        ValueError: The update carries no job id.
    """
    if update.job_id is None:
        raise ValueError("an update without a job id belongs to no job")
    if job is None:
        job = JobState(
            job_id=update.job_id,
            extractor_id=update.extractor_id,
            resource_id=update.resource_id,
            status=Status.SUBMITTED,
            message="",
            updated_at=update.event_time,
            seen_at=received_at,
        )
    first = job.event_count == 0
    job.event_count += 1
    job.seen_at = max(job.seen_at, received_at)
    job.user_id = job.user_id or update.user_id
    in_order = _note_sequence(job, update)
    late = not _advance(job, update, first=first, in_order=in_order)
    if not late:
        job.message = update.message
        job.updated_at = update.event_time
    return job, Placement(position=job.event_count, attempt=job.attempts, late=late)


def _note_sequence(job: JobState, update: StatusUpdate) -> bool:
    if update.producer_id is None or update.sequence is None:
        return True
    progress = job.producers.get(update.producer_id)
    if progress is None:
        _forget_producers(job)
        progress = job.producers[update.producer_id] = ProducerProgress()
    return progress.note(update.sequence)


def _forget_producers(job: JobState) -> None:
    if len(job.producers) >= MAX_PRODUCERS:
        complete = (producer for producer, progress in job.producers.items() if not progress.missing)
        del job.producers[next(complete, next(iter(job.producers)))]


def _advance(job: JobState, update: StatusUpdate, *, first: bool, in_order: bool) -> bool:
    """Change the job's state where the update may; return whether it did."""
    state = update.state
    if state is Status.SUBMITTED:
        # The worker may be faster than the submitter's own update: then only the facts are taken.
        job.submitted_at = job.submitted_at or update.event_time
        return first
    if not in_order and not first:
        if state is Status.STARTED and job.started_at is None:
            job.started_at = update.event_time
        return False
    if state is Status.STARTED:
        _start_attempt(job, update)
        return True
    if state is Status.CANCELLED:
        may = job.status in (Status.SUBMITTED, Status.RESUBMITTED)
    elif state is Status.PROCESSING:
        may = not job.status.is_end and job.status is not Status.RESUBMITTED
    else:
        may = not job.status.is_end
    if not may or _from_former_owner(job, update):
        return False
    if state is not Status.CANCELLED and job.attempts == 0:
        _start_attempt(job, update)  # its start was never sent, or is still to come
    job.status = state
    if update.percent is not None:
        job.percent = update.percent
    if state.is_end:
        job.finished_at = update.event_time
    return True


def _start_attempt(job: JobState, update: StatusUpdate) -> None:
    job.attempts += 1
    job.status = Status.STARTED
    job.started_at = job.started_at or update.event_time
    job.finished_at = None
    job.percent = update.percent
    job.owner_id = update.producer_id
    job.instance_id = update.instance_id


def _from_former_owner(job: JobState, update: StatusUpdate) -> bool:
    """Whether the update comes from a worker whose work was given to another one; a canceller is not a worker."""
    return (
        update.state is not Status.CANCELLED
        and job.owner_id is not None
        and update.producer_id is not None
        and update.producer_id != job.owner_id
    )

"""Fills a database with the events and jobs of work long done, in the form in which the consumer stores them."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from bson import ObjectId

from benchmarks.backlog import UPDATES_PER_JOB
from benchmarks.workbench import Lane, Workbench
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.models.jobs.job import Event, JobState, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.store.database import Database, Document
from jobtrail.store.jobs.documents import event_document, job_document
from jobtrail.store.log.upgrade import upgrade

_JOBS_PER_CHUNK = 500
_EXTRACTORS = 40


@dataclass(slots=True, frozen=True, kw_only=True)
class TrailShape:
    """What is to be stored."""

    jobs: int
    updates_per_job: int = UPDATES_PER_JOB
    jobs_per_resource: int = 1
    begun_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    interval_s: float = 30.0
    """Seconds between the starts of two jobs."""

    @property
    def events(self) -> int:
        """How many events that are."""
        return self.jobs * self.updates_per_job


def store_trail(workbench: Workbench, lane: Lane, shape: TrailShape) -> None:
    """Store events and their jobs directly, then build the indexes.

    Args:
        workbench: The services.
        lane: Whose database is filled; the stream's numbering begins anew with the first real message.
        shape: How many, of which kind.
    """
    database = workbench.client[lane.database]
    asyncio.run(_upgrade(lane))
    for name in ("extractions", "jobs"):
        database[name].drop_indexes()  # what is stored is indexed faster at the end

    def store(first_job: int) -> None:
        events: list[Document] = []
        jobs: list[Document] = []
        for number in range(first_job, min(first_job + _JOBS_PER_CHUNK, shape.jobs)):
            job, of_job = _job(number, shape)
            events += of_job
            jobs.append(job)
        database["extractions"].insert_many(events, ordered=False)
        database["jobs"].insert_many(jobs, ordered=False)

    chunks = range(0, shape.jobs, _JOBS_PER_CHUNK)
    # Two at once: one makes documents while the other's are stored.
    with ThreadPoolExecutor(max_workers=2) as pool, ProgressTeller("storing events") as progress:
        progress.total = shape.events
        for done, _ in enumerate(pool.map(store, chunks), 1):
            progress.note(done * _JOBS_PER_CHUNK * shape.updates_per_job)
    workbench.say("building the indexes")
    asyncio.run(_index(lane))


def job_id(number: int) -> str:
    """Name a stored job by its number, from 0."""
    return str(UUID(int=number))


def resource_id(number: int, shape: TrailShape) -> str:
    """Name the resource of a stored job by the job's number, from 0."""
    return f"{number // shape.jobs_per_resource:024x}"


def _job(number: int, shape: TrailShape) -> tuple[Document, list[Document]]:
    job: JobState | None = None
    events = []
    for seq, update in enumerate(_updates(number, shape), number * shape.updates_per_job + 1):
        job, placement = fold(job, update, update.event_time)
        event = Event(
            id=str(ObjectId()),
            queue="imported",
            seq=seq,
            received_at=update.event_time,
            update=update,
            placement=placement,
            correlation_id=update.job_id,
        )
        events.append(event_document(event))
    if job is None:
        raise ValueError("a job has updates")
    return job_document(job), events


def _updates(number: int, shape: TrailShape) -> Iterator[StatusUpdate]:
    last = shape.updates_per_job - 1
    for step in range(shape.updates_per_job):
        state = {0: Status.STARTED, last: Status.SUCCEEDED}.get(step, Status.PROCESSING)
        message = f"Step {step} of the work on this file"
        yield StatusUpdate(
            extractor_id=f"ncsa.extractor{number % _EXTRACTORS}",
            resource_id=resource_id(number, shape),
            job_id=job_id(number),
            status=f"StatusMessage.processing: {message}",
            state=state,
            message=message,
            event_time=shape.begun_at + timedelta(seconds=shape.interval_s * number + step),
        )


async def _upgrade(lane: Lane) -> None:
    """Note that nothing in the store is of an earlier version, or the first consumer would make all jobs anew."""
    async with Database(lane.urls.mongo_url, lane.database) as database:
        await upgrade(database, asyncio.Event())


async def _index(lane: Lane) -> None:
    # Building takes longer than the default timeout allows an operation.
    async with Database(lane.urls.mongo_url, lane.database, timeout_s=300) as database:
        await database.ensure_indexes()

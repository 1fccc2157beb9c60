"""Fills a database with the events and jobs of work long done, in the form in which the consumer stores them."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from bson import ObjectId

from benchmarks.backlog import UPDATES_PER_JOB
from benchmarks.workbench import Lane, Workbench
from cli.progress import ProgressTeller
from models.job import Event, Job, fold
from models.status import Status
from models.wire import StatusUpdate
from store.database import Database, Document
from store.documents import event_document, job_document

_JOBS_PER_CHUNK = 500
_EXTRACTORS = 40
_BEGUN_AT = datetime(2026, 1, 1, tzinfo=UTC)


def store_events(workbench: Workbench, lane: Lane, count: int) -> None:
    """Store events and their jobs directly, then build the indexes.

    Args:
        workbench: The services.
        lane: Whose database is filled; the queue's numbering begins anew with the first real message.
        count: How many events.
    """
    database = workbench.client[lane.database]

    def store(first_job: int) -> None:
        events: list[Document] = []
        jobs: list[Document] = []
        for number in range(first_job, first_job + _JOBS_PER_CHUNK):
            job, of_job = _job(number)
            events += of_job
            jobs.append(job)
        database["extractions"].insert_many(events, ordered=False)
        database["jobs"].insert_many(jobs, ordered=False)

    chunks = range(0, count // UPDATES_PER_JOB, _JOBS_PER_CHUNK)
    # Two at once: one makes documents while the other's are stored.
    with ThreadPoolExecutor(max_workers=2) as pool, ProgressTeller("storing events") as progress:
        progress.total = count
        for done, _ in enumerate(pool.map(store, chunks), 1):
            progress.note(done * _JOBS_PER_CHUNK * UPDATES_PER_JOB)
    workbench.say("building the indexes")
    asyncio.run(_index(lane))


def _job(number: int) -> tuple[Document, list[Document]]:
    job: Job | None = None
    events = []
    for seq, update in enumerate(_updates(number), number * UPDATES_PER_JOB + 1):
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


def _updates(number: int) -> Iterator[StatusUpdate]:
    job_id = str(uuid4())
    for step in range(UPDATES_PER_JOB):
        state = {0: Status.STARTED, UPDATES_PER_JOB - 1: Status.SUCCEEDED}.get(step, Status.PROCESSING)
        message = f"Step {step} of the work on this file"
        yield StatusUpdate(
            extractor_id=f"ncsa.extractor{number % _EXTRACTORS}",
            resource_id=f"{number:024x}",
            job_id=job_id,
            status=f"StatusMessage.processing: {message}",
            state=state,
            message=message,
            event_time=_BEGUN_AT + timedelta(seconds=30 * number + step),
        )


async def _index(lane: Lane) -> None:
    # Building takes longer than the default timeout allows an operation.
    async with Database(lane.urls.mongo_url, lane.database, timeout_s=60) as database:
        await database.ensure_indexes()

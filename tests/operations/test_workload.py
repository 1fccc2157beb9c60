"""What is in work, what waits, and why something doesn't get on: read from the database and the broker."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pika
import pytest
from pymongo import MongoClient

from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.operations import workload
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.operations.workload import read_load, read_running
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.workload import WorkloadRepository
from jobtrail.web.parts import Parts, make_parts
from tests.heartbeat.support import beat
from tests.jobs import a_job, store
from tests.support import Names


@pytest.fixture
def parts(settings: Settings, database: Database) -> Parts:
    return make_parts(settings, database)


@pytest.fixture
def stored(mongo_client: MongoClient[Any], settings: Settings) -> Any:
    """Stores jobs."""

    def keep(*jobs: JobState) -> None:
        store(mongo_client[settings.database], *jobs)

    return keep


def job(job_id: str, status: Status, ago_s: float, **fields: Any) -> JobState:
    at = datetime.now(UTC) - timedelta(seconds=ago_s)
    return a_job(job_id, status, **{"updated_at": at, "seen_at": at, "started_at": at, **fields})


async def test_counting_stops_where_it_is_told_to(
    database: Database, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = WorkloadRepository(database)
    assert await repository.is_empty()
    stored(*(job(f"w{n}", Status.SUBMITTED, n) for n in range(4)), job("r", Status.STARTED, 1, extractor_id="y"))
    stored(job("a", Status.RESUBMITTED, 1), job("s", Status.PROCESSING, 1), job("e", Status.ERROR, 1))
    assert not await repository.is_empty()
    load = await read_load(repository)
    assert (load.running, load.waiting) == (2, 5)
    monkeypatch.setattr(workload, "MAX_COUNTED", 3)
    assert (await read_load(repository)).waiting == 3
    assert await repository.running_by_extractor(limit=100) == {"x": 1, "y": 1}


async def test_the_longest_silent_jobs_are_judged_and_the_latest_are_shown(
    database: Database, settings: Settings, stored: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository, jobs = WorkloadRepository(database), JobRepository(database)
    stored(*(job(f"silent-{n}", Status.PROCESSING, 9000 + n) for n in range(2)))
    stored(job("other", Status.STARTED, 8000, extractor_id="y"))
    stored(*(job(f"lively-{n}", Status.STARTED, n) for n in range(5)))

    async def read(limit: int = 10, extractor_id: str | None = None) -> tuple[int, list[str], list[str], bool]:
        detector = StallDetector(database, settings)
        found = await read_running(repository, jobs, detector, limit=limit, extractor_id=extractor_id)
        names = ([each.job.job_id for each in listed] for listed in (found.at_work, found.stalled))
        return found.count, *names, found.all_judged

    lively = [f"lively-{n}" for n in range(5)]
    assert await read() == (8, lively, ["silent-1", "silent-0", "other"], True)
    assert await read(limit=2, extractor_id="y") == (1, [], ["other"], True)
    monkeypatch.setattr(workload, "MAX_JUDGED", 2)
    count, at_work, stalled, all_judged = await read(limit=3)
    assert (count, at_work, len(stalled), all_judged) == (2, lively[:3], 2, False)


async def test_a_job_that_waits_is_told_what_for_and_one_at_work_is_not_asked(
    parts: Parts, settings: Settings, stored: Any, amqp_url: str, names: Names
) -> None:
    queue = names.queue("work")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        channel.queue_declare(queue)
        channel.basic_publish("", queue, b"work")
    now = datetime.now(UTC)
    monitored = ExtractorRepository(parts.database)
    await monitored.record([beat(now - timedelta(seconds=400), extractor="x", queue=queue, interval_s=10)])
    await monitored.note_watch(settings.heartbeat_queue, now)
    detector = parts.stall_detector()
    diagnosis = await parts.stuck.why(job("w", Status.SUBMITTED, 600), detector)
    assert diagnosis is not None
    assert re.sub(r"\d+ min( \d+ s)?", "long", diagnosis.sentence) == (
        f"It has waited for long in {queue}, where 1 request waits and no consumer takes work; "
        "no heartbeat from instance instance-1 for long (limit 60 s)."
    )
    for status, ago_s in ((Status.SUBMITTED, 5), (Status.STARTED, 1), (Status.SUCCEEDED, 9000), (Status.ERROR, 9000)):
        assert await parts.stuck.why(job("other", status, ago_s), detector) is None

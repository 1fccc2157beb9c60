"""What a worker reports with `Reporter` becomes a job, through the broker and the consumer."""

import asyncio
from typing import Any

from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.publisher import Reporter
from jobtrail.store.database import Database
from jobtrail.store.jobs.jobs import JobRepository
from tests.consumer.conftest import Bench, consuming
from tests.support import eventually_async


async def test_what_a_reporter_says_becomes_a_finished_job_without_gaps(
    bench: Bench, settings: Settings, tmp_path: Any
) -> None:
    bench.channel.queue_declare(settings.reply_stream, passive=True)
    async with consuming(settings), Database(settings.require_mongo_url(), settings.database) as database:
        with Reporter(
            settings.require_amqp_url(), "demo", reply_queue=settings.reply_stream, spool_path=tmp_path / "spool"
        ) as reporter:
            with reporter.job("file-1") as job:
                for step in range(8):
                    job.progress(f"step {step}", percent=step * 10)
            assert await asyncio.to_thread(reporter.flush, 20)
        stored = await eventually_async(lambda: finished(JobRepository(database), job.job_id))

    assert (stored.status, stored.attempts, stored.event_count) == (Status.SUCCEEDED, 1, 10)
    assert stored.missing == {}
    assert stored.percent == 70


async def finished(jobs: JobRepository, job_id: str) -> Any:
    found = await jobs.list(JobFilter(), limit=10)
    return next((job for job in found.jobs if job.job_id == job_id and job.status.is_end), False)

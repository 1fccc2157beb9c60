"""The viewpoint worker: runs the batch jobs of complete datasets, and reports under their job ids."""

import asyncio
import logging
import random

from jobtrail.models.datasets.dataset import BatchJob
from jobtrail.models.errors import StoreError
from jobtrail.models.settings import load_settings
from jobtrail.publisher.async_reporter import AsyncJob, AsyncReporter
from jobtrail.stack.demo.until_sigterm import run_until_sigterm
from jobtrail.stack.demo.worker import heartbeats, spool_folder
from jobtrail.store.database import Database
from jobtrail.store.datasets.batch_jobs import BatchJobRepository
from jobtrail.store.datasets.console import Console

NAME = "demo.viewpoint"
_POLL_S = 0.5
_STEPS = 5
_STEP_S = (0.4, 1.2)
_FAILING_SHARE = 0.08
_chance = random.SystemRandom()
logger = logging.getLogger(__name__)


async def work() -> None:
    """Run batch jobs until cancelled."""
    settings = load_settings()
    amqp_url = settings.require_amqp_url()
    async with (
        Database(settings.require_mongo_url(), settings.database) as database,
        AsyncReporter(
            amqp_url,
            NAME,
            reply_queue=settings.reply_stream,
            partitions=settings.reply_partitions,
            spool_path=spool_folder(settings),
        ) as reporter,
    ):
        with heartbeats(settings, reporter, NAME, "2.0.1", "Analyses a complete dataset from one viewpoint."):
            await _work_off(BatchJobRepository(Console(database, settings)), reporter)


async def _work_off(batch_jobs: BatchJobRepository, reporter: AsyncReporter) -> None:
    done: set[str] = set()
    while True:
        try:
            # Running ones too: this worker is the only one, so it must continue what its last process began.
            unfinished = {each.job_id: each for each in await batch_jobs.unfinished()}
        except StoreError as error:
            logger.warning("Batch jobs can't be read; trying again: %s", error)
        else:
            await asyncio.gather(*(_analyse(unfinished[job_id], reporter) for job_id in unfinished.keys() - done))
            # Reports are stored a moment later; until then these seem unfinished.
            done = set(unfinished)
        await asyncio.sleep(_POLL_S)


async def _analyse(batch_job: BatchJob, reporter: AsyncReporter) -> None:
    try:
        async with reporter.job(batch_job.dataset_id, job_id=batch_job.job_id) as job:
            await _look(batch_job, job)
    except ValueError as error:
        logger.info("Batch job failed: %s", error)


async def _look(batch_job: BatchJob, job: AsyncJob) -> None:
    fails_at = _chance.randrange(1, _STEPS) if _chance.random() < _FAILING_SHARE else None
    for step in range(1, _STEPS + 1):
        await asyncio.sleep(_chance.uniform(*_STEP_S))
        if step == fails_at:
            raise ValueError(f"too few items of {batch_job.dataset_id} show their {batch_job.viewpoint}")
        percent = 100 * step / _STEPS
        await job.progress(f"Looked at the {batch_job.viewpoint} of {percent:.0f}% of the items", percent)


if __name__ == "__main__":
    run_until_sigterm(work())

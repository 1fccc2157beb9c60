"""Submits and cancels jobs, wherever that is asked for, and keeps an audit record of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from jobtrail.models.errors import JobTrailError, NotFoundError, SettingError, TooLateError
from jobtrail.models.heartbeat import likely_queues
from jobtrail.models.jobs.job import JobState
from jobtrail.models.settings import Settings
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.operations.schemas.acts import SubmissionSchema
from jobtrail.publisher.cancellation import CancelResult, cancel
from jobtrail.publisher.submission import submit
from jobtrail.runtime.threads import run_abandonable
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.jobs.jobs import JobRepository

T = TypeVar("T")

_MAX_THREADS = 32
"""Acts that one process carries out at a time; further ones wait while the broker is slow to answer."""


@dataclass(slots=True, frozen=True, kw_only=True)
class JobActs:
    """What an operator does to jobs."""

    settings: Settings
    database: Database | None
    """None where the settings name none: a job is then cancelled in the queue that is given, whatever it is."""
    audit: AuditBook
    _threads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MAX_THREADS))

    async def submit(self, actor: Actor, asked: SubmissionSchema, *, again: JobState | None = None) -> str:
        """Submit a job, and return its id; `again` is the job whose work is repeated, in a queue of its extractor."""
        details = {"queue": asked.queue, "resource": asked.resource_id}
        details |= {"user": asked.user} if asked.user else {}
        details |= {"again": again.job_id} if again else {}
        async with self.audit.act(actor, "job.submit", target=asked.job_id or "", details=details) as entry:
            amqp_url = self.settings.require_amqp_url()
            if again is not None and asked.queue not in await self._queues_of(again):
                raise NotFoundError(f"{again.extractor_id} has no queue {asked.queue!r}")
            try:
                entry.target = await self._run(
                    partial(
                        submit,
                        amqp_url,
                        asked.queue,
                        resource_id=asked.resource_id,
                        extractor_id=asked.extractor,
                        user_id=asked.user,
                        job_id=asked.job_id,
                        resource_type=asked.type,
                        parameters=asked.parameters,
                        filename=asked.filename,
                        dataset_id=asked.dataset,
                        reply_queue=self.settings.reply_stream,
                        partitions=self.settings.reply_partitions,
                    )
                )
            except ValueError as error:
                raise SettingError(str(error)) from error
        return entry.target

    async def cancel(self, actor: Actor, job_id: str, queue: str | None = None) -> CancelResult:
        """Take a job back that no worker has taken yet, from the queue it waits in, else those of its extractor."""
        details = {"queue": queue} if queue else {}
        async with self.audit.act(actor, "job.cancel", target=job_id, details=details) as entry:
            amqp_url = self.settings.require_amqp_url()
            job = await self._waiting(job_id, is_needed=queue is None)
            queues = [queue] if queue else await self._queues_of(job)
            result = await self._run(partial(self._take_back, amqp_url, job_id, queues, job))
            entry.details["queue"] = result.queue
        return result

    async def _run(self, work: Callable[[], T]) -> T:
        async with self._threads:
            return await run_abandonable(work)

    async def _waiting(self, job_id: str, *, is_needed: bool) -> JobState | None:
        if self.database is None:
            return None
        try:
            job = await JobRepository(self.database).get(job_id)
        except NotFoundError:
            if is_needed:
                raise
            return None
        if job.status.is_end:
            raise TooLateError(f"job {job_id} has ended already: {job.status}")
        return job

    async def _queues_of(self, job: JobState | None) -> Sequence[str]:
        """Of several queues the one whose worker was seen last comes first."""
        if job is None or self.database is None:
            return []
        instances = await ExtractorRepository(self.database).instances(job.extractor_id)
        return likely_queues(instances, job.extractor_id)

    def _take_back(self, amqp_url: str, job_id: str, queues: Sequence[str], job: JobState | None) -> CancelResult:
        problem: JobTrailError | None = None
        for queue in queues:
            try:
                return cancel(
                    amqp_url,
                    queue,
                    job_id,
                    extractor_id=job.extractor_id if job else None,
                    user_id=job.user_id if job else None,
                    reply_queue=self.settings.reply_stream,
                    partitions=self.settings.reply_partitions,
                )
            except TooLateError as error:
                problem = error
            except NotFoundError as error:
                # "Too late" in another queue says more than "no such queue".
                problem = problem or error
        raise problem or NotFoundError(f"job {job_id} has no queue")

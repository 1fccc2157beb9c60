"""Finds the queue that a job waits in, and takes it back from there."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.models.errors import JobTrailError, NotFoundError, TooLateError
from jobtrail.models.heartbeat import likely_queues
from jobtrail.models.jobs.job import JobState
from jobtrail.models.settings import Settings
from jobtrail.publisher.cancellation import CancelResult, cancel
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.jobs.jobs import JobRepository


@dataclass(slots=True, frozen=True, kw_only=True)
class CancelTarget:
    """Where to look for a job's request."""

    queues: Sequence[str]
    """The most likely one first; never empty."""
    job: JobState | None
    """None where only the queue was given and no update of the job is known."""


async def find_target(database: Database, job_id: str, queue: str | None = None) -> CancelTarget:
    """Find the queues that a job may wait in.

    Args:
        database: The trail's database.
        job_id: The job.
        queue: The queue, if it is known; then the job need not be.

    Returns:
        Where to look.

    Raises:
        NotFoundError: There is no such job, and no queue was given.
        TooLateError: The job has ended.
        StoreError: The database can't be reached.
    """
    try:
        job = await JobRepository(database).get(job_id)
    except NotFoundError:
        if queue is None:
            raise
        return CancelTarget(queues=[queue], job=None)
    if job.status.is_end:
        raise TooLateError(f"job {job_id} has ended already: {job.status}")
    if queue is not None:
        return CancelTarget(queues=[queue], job=job)
    instances = await ExtractorRepository(database).instances(job.extractor_id)
    # Of several queues the one whose worker was seen last comes first.
    return CancelTarget(queues=likely_queues(instances, job.extractor_id), job=job)


def take_back(settings: Settings, job_id: str, target: CancelTarget) -> CancelResult:
    """Take a job back.

    Args:
        settings: The settings.
        job_id: The job.
        target: Where to look for it.

    Returns:
        What was taken back.

    Raises:
        TooLateError: A worker has taken it.
        NotFoundError: None of the queues exists.
        BrokerError: The broker can't be reached.
    """
    problem: JobTrailError | None = None
    for queue in target.queues:
        try:
            return cancel(
                settings.require_amqp_url(),
                queue,
                job_id,
                extractor_id=target.job.extractor_id if target.job else None,
                user_id=target.job.user_id if target.job else None,
                reply_queue=settings.reply_stream,
                partitions=settings.reply_partitions,
            )
        except TooLateError as error:
            problem = error
        except NotFoundError as error:
            # "Too late" in another queue says more than "no such queue".
            problem = problem or error
    raise problem or NotFoundError(f"job {job_id} has no queue")

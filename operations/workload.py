"""What is in work, what waits and what is stalled, over all extractors or for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.status import RUNNING, WAITING
from jobtrail.operations.job_list import ListedJob, with_stalls
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.workload import WorkloadRepository

MAX_COUNTED = 10_000
"""Counting stops here."""
MAX_JUDGED = 500
"""Running jobs that are judged, the longest silent first: those are the ones that may be stalled."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Load:
    """How many jobs run and wait; `MAX_COUNTED` stands for as many or more."""

    running: int
    waiting: int


@dataclass(slots=True, frozen=True, kw_only=True)
class RunningJobs:
    """Running jobs, judged."""

    count: int
    """How many there are; `MAX_JUDGED` stands for as many or more."""
    at_work: Sequence[ListedJob]
    """Some of those that make progress, the latest started first."""
    stalled: Sequence[ListedJob]
    """Those that don't, the longest silent first."""

    @property
    def all_judged(self) -> bool:
        """Whether none may be stalled that was not looked at."""
        return self.count < MAX_JUDGED


async def read_load(repository: WorkloadRepository) -> Load:
    """Count what runs and what waits."""
    return Load(
        running=await repository.count(RUNNING, limit=MAX_COUNTED),
        waiting=await repository.count(WAITING, limit=MAX_COUNTED),
    )


async def read_running(
    repository: WorkloadRepository,
    jobs: JobRepository,
    detector: StallDetector,
    *,
    limit: int,
    extractor_id: str | None = None,
) -> RunningJobs:
    """Read the stalled ones of the running jobs, and up to `limit` of the others."""
    silent = await repository.running(limit=MAX_JUDGED, extractor_id=extractor_id)
    looked_at = await with_stalls(detector, silent)
    if len(silent) < MAX_JUDGED:
        lively = looked_at
    else:
        page = await jobs.list(JobFilter(status=RUNNING, extractor=extractor_id), limit=limit)
        lively = await with_stalls(detector, page.jobs)
    at_work = [each for each in lively if each.stall is None]
    at_work.sort(key=_started, reverse=True)
    return RunningJobs(count=len(silent), at_work=at_work[:limit], stalled=[each for each in looked_at if each.stall])


def _started(each: ListedJob) -> datetime:
    return each.job.started_at or each.job.updated_at

"""One page of jobs with their stalls, and the updates that name no job."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.heartbeat.liveness import Stall
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import JobState
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.without_job_id import UnnamedGroup, UnnamedRepository

_JOBS_PER_LOOK = 200
_MAX_LOOKS = 25
"""How often the search for stalled jobs looks further before it gives what it has: 5,000 running jobs."""
_FILTERS_OF_GROUPS = {"extractor", "status", "resource", "since", "until", "q"}
"""Updates without a job id have neither a user nor a worker that stalls; other filters exclude them."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ListedJob:
    """A job and why it counts as stalled, if it does."""

    job: JobState
    stall: Stall | None


@dataclass(slots=True, frozen=True, kw_only=True)
class JobList:
    """What `jobtrail jobs` shows."""

    jobs: Sequence[ListedJob]
    next: str | None
    """Cursor of the next page; None on the last. A page of stalled jobs may be short, yet not be the last."""
    unnamed: Sequence[UnnamedGroup]
    """On the first page only."""


async def list_jobs(
    repository: JobRepository, detector: StallDetector, wanted: JobFilter, *, limit: int, cursor: str | None
) -> JobList:
    """Read one page, and on the first one the groups of updates that name no job."""
    (jobs, following), unnamed = await asyncio.gather(
        (_stalled_jobs if wanted.stalled else _jobs)(repository, detector, wanted, limit, cursor),
        _unnamed(repository.unnamed, wanted, cursor),
    )
    return JobList(jobs=jobs, next=following, unnamed=unnamed)


async def with_stalls(detector: StallDetector, jobs: Sequence[JobState]) -> list[ListedJob]:
    """Add to each job why it counts as stalled, if it does."""
    return [ListedJob(job=job, stall=stall) for job, stall in zip(jobs, await detector.stalls(jobs), strict=True)]


async def _jobs(
    repository: JobRepository, detector: StallDetector, wanted: JobFilter, limit: int, cursor: str | None
) -> tuple[list[ListedJob], str | None]:
    page = await repository.list(wanted, limit=limit, cursor=cursor)
    return await with_stalls(detector, page.jobs), page.next


async def _stalled_jobs(
    repository: JobRepository, detector: StallDetector, wanted: JobFilter, limit: int, cursor: str | None
) -> tuple[list[ListedJob], str | None]:
    """Search look by look: whether a job is stalled is derived, so the database cannot be asked for it."""
    found: list[ListedJob] = []
    for _ in range(_MAX_LOOKS):
        page = await repository.list(wanted, limit=_JOBS_PER_LOOK, cursor=cursor)
        for listed in await with_stalls(detector, page.jobs):
            if listed.stall is None:
                continue
            found.append(listed)
            if len(found) == limit:
                # The next page begins right behind this job, which need not be the last of those that were read.
                return found, repository.cursor_behind(listed.job)
        cursor = page.next
        if cursor is None:
            break
    return found, cursor


async def _unnamed(repository: UnnamedRepository, wanted: JobFilter, cursor: str | None) -> Sequence[UnnamedGroup]:
    if cursor is not None or not wanted.given().keys() <= _FILTERS_OF_GROUPS:
        return []
    if wanted.resource is not None:
        groups = await repository.of_resource(wanted.resource)
    else:
        groups = await repository.latest()
    return [group for group in groups if _is_wanted(group, wanted)]


def _is_wanted(group: UnnamedGroup, wanted: JobFilter) -> bool:
    searched = (group.extractor_id, group.resource_id, group.message)
    return (
        (wanted.extractor is None or group.extractor_id == wanted.extractor)
        and (not wanted.status or group.status in wanted.status)
        and (wanted.since is None or group.updated_at >= wanted.since)
        and (wanted.until is None or group.updated_at < wanted.until)
        and (wanted.q is None or any(wanted.q.lower() in text.lower() for text in searched))
    )

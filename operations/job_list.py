"""One page of jobs with their stalls, and the updates that name no job."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.heartbeat.liveness import Stall
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.jobs import JobFilter, JobRepository
from jobtrail.store.jobs.without_job_id import UnnamedGroup, UnnamedRepository

RUNNING = tuple(status for status in Status if status.is_running)
_JOBS_PER_LOOK = 200
_MAX_LOOKS = 25
"""How often the search for stalled jobs looks further before it gives what it has: 5,000 running jobs."""


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


@dataclass(slots=True, frozen=True, kw_only=True)
class JobListRequest:
    """What is asked for."""

    wanted: JobFilter
    stalled_only: bool
    limit: int
    cursor: str | None


async def list_jobs(repository: JobRepository, judge: StallDetector, request: JobListRequest) -> JobList:
    """Read one page.

    Args:
        repository: Reads the jobs.
        judge: Judges them.
        request: What is asked for.

    Returns:
        The page.

    Raises:
        SettingError: The cursor is none of ours.
        TooBroadError: There was too much to look through.
        StoreError: The database can't be reached.
    """
    (jobs, cursor), unnamed = await asyncio.gather(
        _stalled_jobs(repository, judge, request) if request.stalled_only else _jobs(repository, judge, request),
        _unnamed(repository.unnamed, request),
    )
    return JobList(jobs=jobs, next=cursor, unnamed=unnamed)


async def judged(judge: StallDetector, jobs: Sequence[JobState]) -> list[ListedJob]:
    """Judge jobs.

    Args:
        judge: Judges them.
        jobs: The jobs.

    Returns:
        The same jobs, each with the reason why it counts as stalled, if it does.

    Raises:
        StoreError: The database can't be reached.
    """
    return [ListedJob(job=job, stall=stall) for job, stall in zip(jobs, await judge.stalls(jobs), strict=True)]


async def _jobs(
    repository: JobRepository, judge: StallDetector, request: JobListRequest
) -> tuple[list[ListedJob], str | None]:
    page = await repository.list(request.wanted, limit=request.limit, cursor=request.cursor)
    return await judged(judge, page.jobs), page.next


async def _stalled_jobs(
    repository: JobRepository, judge: StallDetector, request: JobListRequest
) -> tuple[list[ListedJob], str | None]:
    """Search look by look: whether a job is stalled is derived, so the database cannot be asked for it."""
    found: list[ListedJob] = []
    cursor = request.cursor
    for _ in range(_MAX_LOOKS):
        page = await repository.list(request.wanted, limit=_JOBS_PER_LOOK, cursor=cursor)
        for listed in await judged(judge, page.jobs):
            if listed.stall is None:
                continue
            found.append(listed)
            if len(found) == request.limit:
                # The next page begins right behind this job, which need not be the last of those that were read.
                return found, repository.cursor_behind(listed.job)
        cursor = page.next
        if cursor is None:
            break
    return found, cursor


async def _unnamed(repository: UnnamedRepository, request: JobListRequest) -> Sequence[UnnamedGroup]:
    wanted = request.wanted
    if request.cursor is not None or request.stalled_only or wanted.user_id is not None:
        return []
    if wanted.resource_id is not None:
        groups = await repository.of_resource(wanted.resource_id)
    else:
        groups = await repository.latest()
    return [group for group in groups if _is_wanted(group, wanted)]


def _is_wanted(group: UnnamedGroup, wanted: JobFilter) -> bool:
    searched = (group.extractor_id, group.resource_id, group.message)
    return (
        (wanted.extractor_id is None or group.extractor_id == wanted.extractor_id)
        and (not wanted.statuses or group.status in wanted.statuses)
        and (wanted.since is None or group.updated_at >= wanted.since)
        and (wanted.until is None or group.updated_at < wanted.until)
        and (wanted.text is None or any(wanted.text.lower() in text.lower() for text in searched))
    )

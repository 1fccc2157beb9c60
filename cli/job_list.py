"""One page of jobs with their stalls, and the updates that name no job."""

from collections.abc import Sequence
from dataclasses import dataclass

from cli.stall_judge import StallJudge
from heartbeat.liveness import Stall
from models.job import Job
from models.status import Status
from store.jobs import JobFilter, JobRepository, UnnamedGroup

RUNNING = tuple(status for status in Status if status.is_running)


@dataclass(slots=True, frozen=True, kw_only=True)
class ListedJob:
    """A job and why it counts as stalled, if it does."""

    job: Job
    stall: Stall | None


@dataclass(slots=True, frozen=True, kw_only=True)
class JobList:
    """What `jobtrail jobs` shows."""

    jobs: Sequence[ListedJob]
    next: str | None
    """Cursor of the next page; None on the last."""
    unnamed: Sequence[UnnamedGroup]
    """On the first page only."""


@dataclass(slots=True, frozen=True, kw_only=True)
class JobListRequest:
    """What is asked for."""

    wanted: JobFilter
    stalled_only: bool
    limit: int
    cursor: str | None


async def list_jobs(repository: JobRepository, judge: StallJudge, request: JobListRequest) -> JobList:
    """Read one page.

    Args:
        repository: Reads the jobs.
        judge: Judges them.
        request: What is asked for.

    Returns:
        The page.

    Raises:
        SettingError: The cursor is none of ours.
        StoreError: The database can't be reached.
    """
    if request.stalled_only:
        jobs, cursor = await _stalled_jobs(repository, judge, request)
    else:
        page = await repository.list(request.wanted, limit=request.limit, cursor=request.cursor)
        jobs = [ListedJob(job=job, stall=await judge.stall(job)) for job in page.jobs]
        cursor = page.next
    return JobList(jobs=jobs, next=cursor, unnamed=await _unnamed(repository, request))


async def _stalled_jobs(
    repository: JobRepository, judge: StallJudge, request: JobListRequest
) -> tuple[list[ListedJob], str | None]:
    """Search page by page: whether a job is stalled is derived, so the database cannot be asked for it."""
    found: list[ListedJob] = []
    cursor = request.cursor
    while True:
        page = await repository.list(request.wanted, limit=request.limit, cursor=cursor)
        for place, job in enumerate(page.jobs, 1):
            reason = await judge.stall(job)
            if reason is None:
                continue
            found.append(ListedJob(job=job, stall=reason))
            if len(found) == request.limit:
                # The next page begins right behind this job, which need not be the last of the page that was read.
                return found, (await repository.list(request.wanted, limit=place, cursor=cursor)).next
        cursor = page.next
        if cursor is None:
            return found, None


async def _unnamed(repository: JobRepository, request: JobListRequest) -> Sequence[UnnamedGroup]:
    wanted = request.wanted
    if request.cursor is not None or request.stalled_only or wanted.user_id is not None:
        return []
    groups = await repository.unnamed_groups(resource_id=wanted.resource_id, extractor_id=wanted.extractor_id)
    return [
        group
        for group in groups
        if (not wanted.statuses or group.status in wanted.statuses)
        and (wanted.since is None or group.updated_at >= wanted.since)
    ]

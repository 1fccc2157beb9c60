"""The page of one resource, a file or a dataset: its extractors; each opens to its jobs, and a job to its events."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from jobtrail.models.errors import NotFoundError, RecordError
from jobtrail.models.jobs.job import Event, JobState
from jobtrail.operations.job_list import ListedJob, with_stalls
from jobtrail.operations.resource_groups import read_groups
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.query import EventFilter
from jobtrail.store.jobs.resources import ResourceGroup
from jobtrail.store.jobs.without_job_id import MAX_COUNTED
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address
from jobtrail.web.render import query

JOBS_PER_PAGE = 20
EVENTS_SHOWN = 100


class ResourceQuery(BaseModel):
    """What is open, and how far it is paged."""

    open: str = ""
    """An extractor."""
    job: str = ""
    """One of its jobs on this resource."""
    unnamed: str = ""
    """Not empty: its updates that name no job."""
    cursor: str = ""
    """Of its jobs, or of its updates that name no job."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _OpenJob:
    """A job with its latest events, in order."""

    job: JobState
    events: Sequence[Event]


@dataclass(slots=True, frozen=True, kw_only=True)
class _Opened:
    """What an opened extractor shows."""

    extractor_id: str
    jobs: Sequence[ListedJob]
    next_jobs: str | None
    """Cursor of the next page of jobs."""
    job: _OpenJob | None
    unnamed: Sequence[Event]
    next_unnamed: str | None
    """Cursor of the next page of updates that name no job."""


router = APIRouter(include_in_schema=False)


@router.get("/resources/{resource_id}")
async def resource(
    parts: AppParts,
    request: Request,
    resource_id: PathId,
    identity: Caller,
    asked: Annotated[ResourceQuery, Query()],
) -> Response:
    detector = parts.stall_detector()
    groups = await read_groups(parts.resources, detector, resource_id)
    return await parts.renderer.page(
        request,
        identity,
        "resource.html",
        resource_id=resource_id,
        here=address("resources", resource_id),
        back=f"{address('resources', resource_id)}{query(**asked.model_dump(exclude_defaults=True))}",
        groups=groups,
        opened=await _open(parts, resource_id, [each.group for each in groups], asked, detector),
        asked=asked,
        is_dataset=await _is_dataset(parts, resource_id),
        most_counted=MAX_COUNTED,
    )


async def _open(
    parts: Parts, resource_id: str, groups: Sequence[ResourceGroup], asked: ResourceQuery, detector: StallDetector
) -> _Opened | None:
    """Open the extractor that is asked for; a single one is always open."""
    wanted = groups[0].extractor_id if len(groups) == 1 else asked.open
    group = next((each for each in groups if each.extractor_id == wanted), None)
    if group is None:
        return None
    unnamed_only = asked.unnamed or group.latest is None
    job_cursor = None if unnamed_only else asked.cursor or None
    page = await parts.resources.jobs(resource_id, wanted, limit=JOBS_PER_PAGE, cursor=job_cursor)
    jobs = await with_stalls(detector, page.jobs)
    unnamed, next_unnamed = await _unnamed(parts, group, asked) if unnamed_only else ((), None)
    return _Opened(
        extractor_id=wanted,
        jobs=jobs,
        next_jobs=page.next,
        job=await _open_job(parts, page.jobs, asked.job),
        unnamed=unnamed,
        next_unnamed=next_unnamed,
    )


async def _unnamed(parts: Parts, group: ResourceGroup, asked: ResourceQuery) -> tuple[Sequence[Event], str | None]:
    if group.unnamed is None:
        return (), None
    page = await parts.jobs.unnamed.page(
        group.extractor_id, group.unnamed.resource_id, limit=EVENTS_SHOWN, cursor=asked.cursor or None
    )
    return page.rows, page.next


async def _open_job(parts: Parts, jobs: Sequence[JobState], job_id: str) -> _OpenJob | None:
    job = next((each for each in jobs if each.job_id == job_id), None)
    if job is None:
        return None
    page = await parts.jobs.event_page(job_id, EventFilter(), limit=EVENTS_SHOWN, before=job.event_count + 1)
    return _OpenJob(job=job, events=page.events)


async def _is_dataset(parts: Parts, resource_id: str) -> bool:
    try:
        await parts.datasets.get(resource_id)
    except NotFoundError:
        return False
    except RecordError:
        # Its own page tells what is wrong with it.
        return True
    return True

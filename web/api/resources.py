"""Resources, files and datasets: extractor by extractor, job by job."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from jobtrail.models.filters import Name
from jobtrail.operations.job_list import with_stalls
from jobtrail.operations.resource_events import read_resource_events
from jobtrail.operations.resource_groups import read_groups
from jobtrail.operations.schemas.jobs import JobPageSchema, UnnamedEventListSchema
from jobtrail.operations.schemas.resources import ResourceEventsSchema, ResourceSchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked, AskedPage, PageCursor
from jobtrail.web.dependencies import AppParts, get_identity
from jobtrail.web.paths import PathId


class AskedOfExtractor(AskedPage):
    """Which extractor's."""

    extractor: Name = Field(examples=["ncsa.wordcount"], description="The extractor.")


class AskedResourceEvents(Asked):
    """How much of what was said about a resource."""

    extractor: Name | None = Field(None, examples=["ncsa.wordcount"], description="Only this extractor's.")
    limit: int = Field(20, ge=1, le=100, description="Jobs per page.")
    events: int = Field(20, ge=1, le=100, description="Latest events of each job.")
    cursor: PageCursor = None


router = APIRouter(tags=["resources"], dependencies=[Depends(get_identity)])


@router.get("/resources/{resource_id}", summary="Show a resource", **documented(examples.RESOURCE, 400))
async def resource(parts: AppParts, resource_id: PathId) -> Response:
    """Each extractor with its latest job, and with its updates that name no job.

    A resource of which nothing is known has none. What was said is under `/resources/{resource_id}/events`.
    """
    groups = await read_groups(parts.resources, parts.stall_detector(), resource_id)
    return answer(ResourceSchema.model_validate({"resource_id": resource_id, "extractors": groups}))


@router.get(
    "/resources/{resource_id}/events",
    summary="List a resource's events by extractor and job",
    **documented(examples.RESOURCE_EVENTS, 400),
)
async def events(
    parts: AppParts, request: Request, resource_id: PathId, asked: Annotated[AskedResourceEvents, Query()]
) -> Response:
    """The latest updated jobs first, each with its latest events, in order; the rest of them are the job's own.

    The first page also tells the latest updates that name no job.
    """
    found = await read_resource_events(
        parts.jobs,
        parts.stall_detector(),
        resource_id,
        extractor_id=asked.extractor,
        jobs=asked.limit,
        events=asked.events,
        cursor=asked.cursor,
    )
    return answer(ResourceEventsSchema.model_validate(found), next_link(request, found.next))


@router.get(
    "/resources/{resource_id}/jobs",
    summary="List an extractor's jobs on a resource",
    **documented(examples.JOB_PAGE, 400),
)
async def jobs(
    parts: AppParts, request: Request, resource_id: PathId, asked: Annotated[AskedOfExtractor, Query()]
) -> Response:
    """The one that was asked for last comes first."""
    page = await parts.resources.jobs(resource_id, asked.extractor, limit=asked.limit, cursor=asked.cursor)
    listed = await with_stalls(parts.stall_detector(), page.jobs)
    return answer(JobPageSchema.model_validate({"jobs": listed, "next": page.next}), next_link(request, page.next))


@router.get(
    "/resources/{resource_id}/no-job-id",
    summary="List an extractor's updates that name no job",
    **documented(examples.UNNAMED_EVENTS, 400),
)
async def without_job(
    parts: AppParts, request: Request, resource_id: PathId, asked: Annotated[AskedOfExtractor, Query()]
) -> Response:
    """In order of arrival."""
    page = await parts.jobs.unnamed.page(asked.extractor, resource_id, limit=asked.limit, cursor=asked.cursor)
    return answer(UnnamedEventListSchema.model_validate(page), next_link(request, page.next))

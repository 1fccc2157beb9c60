"""Jobs: the list with its filters, one job, and its timeline part by part."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from jobtrail.models.filters import Statuses, Text
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.operations.job_list import ListedJob, list_jobs
from jobtrail.operations.schemas.jobs import EventPageSchema, JobListSchema, JobSchema, MessagePageSchema
from jobtrail.store.jobs.jobs import EventPage
from jobtrail.store.jobs.query import EventFilter
from jobtrail.web.api.answers import answer, documented, links, next_link
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked, AskedPage, Limit
from jobtrail.web.dependencies import AppParts, get_identity
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId

_MAX_POSITION = 2**53 - 1
Position = Annotated[int, Field(ge=0, le=_MAX_POSITION, examples=[50])]


class AskedJobs(JobFilter, AskedPage):
    """Which jobs, page by page."""


class AskedEvents(Asked):
    """Which part of a timeline."""

    limit: Limit = 50
    after: Position = Field(0, description="Only events behind this position: the `next` of the part before.")
    before: Position | None = Field(
        None, description="The last events before this position: the `previous` of the part behind."
    )
    status: Statuses = Field(default_factory=list)
    q: Text | None = Field(
        None, examples=["page 7"], description="Only events with this part in their message, in any case."
    )


router = APIRouter(tags=["jobs"], dependencies=[Depends(get_identity)])


@router.get("/jobs", summary="List jobs", **documented(examples.JOB_LIST, 400))
async def jobs(parts: AppParts, request: Request, asked: Annotated[AskedJobs, Query()]) -> Response:
    """The latest updated first. A job that is updated while you read moves to the front; all others come once.

    The first page also tells the latest groups of updates that name no job.
    """
    found = await list_jobs(parts.jobs, parts.stall_detector(), asked, limit=asked.limit, cursor=asked.cursor)
    return answer(JobListSchema.model_validate(found), next_link(request, found.next))


@router.get("/jobs/{job_id}", summary="Show a job", **documented(examples.JOB, 400, 404))
async def job(parts: AppParts, job_id: PathId) -> Response:
    """All that its events add up to."""
    found = await parts.jobs.get(job_id)
    return answer(JobSchema.model_validate(ListedJob(job=found, stall=await parts.stall_detector().stall(found))))


@router.get("/jobs/{job_id}/events", summary="List a job's events", **documented(examples.EVENT_PAGE, 400, 404))
async def events(parts: AppParts, request: Request, job_id: PathId, asked: Annotated[AskedEvents, Query()]) -> Response:
    """Always in order, whichever way you go: forwards with `after`, backwards with `before`."""
    page = await _event_page(parts, job_id, asked)
    return answer(EventPageSchema.model_validate(page), _links(request, page))


@router.get(
    "/jobs/{job_id}/messages", summary="List a job's raw messages", **documented(examples.MESSAGE_PAGE, 400, 404)
)
async def messages(
    parts: AppParts, request: Request, job_id: PathId, asked: Annotated[AskedEvents, Query()]
) -> Response:
    """The same as they came in: the text that was received, from which queue, and what the sender said of itself.

    For whoever writes an extractor: what became of each text stands in the events.
    """
    page = await _event_page(parts, job_id, asked)
    return answer(MessagePageSchema.model_validate(page), _links(request, page))


async def _event_page(parts: Parts, job_id: str, asked: AskedEvents) -> EventPage:
    await parts.jobs.get(job_id)
    wanted = EventFilter(statuses=asked.status, text=asked.q)
    return await parts.jobs.event_page(job_id, wanted, limit=asked.limit, after=asked.after, before=asked.before)


def _links(request: Request, page: EventPage) -> dict[str, str]:
    return links(
        request,
        next=None if page.next is None else {"after": page.next},
        prev=None if page.previous is None else {"before": page.previous},
    )

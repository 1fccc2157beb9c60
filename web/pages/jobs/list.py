"""The page of jobs: search and filters in its address, one page of a list that goes on, and what names no job."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from jobtrail.models.errors import TooBroadError
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.operations.job_list import JobList, list_jobs
from jobtrail.store.jobs.without_job_id import MAX_COUNTED
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.pages.filter_form import read_form
from jobtrail.web.parts import Parts

JOBS_PER_PAGE = 50
GROUPS_SHOWN = 20
"""Groups of updates that name no job; the others are found by their resource."""

router = APIRouter(include_in_schema=False)


@router.get("/jobs")
async def jobs(parts: AppParts, request: Request, identity: Caller) -> Response:
    form = read_form(JobFilter, "/jobs", request.query_params)
    cursor = request.query_params.get("cursor") or None
    if "" in request.query_params.values():
        # A browser sends the fields that were left empty too; without them the address is fit for a bookmark.
        return RedirectResponse(form.address(cursor=cursor), HTTPStatus.SEE_OTHER)
    found, problem = await _read(parts, form.wanted, cursor)
    if problem:
        form = form.with_problem("q", problem)
    return await parts.renderer.page(
        request,
        identity,
        "jobs.html",
        status=HTTPStatus.BAD_REQUEST if form.problems else HTTPStatus.OK,
        form=form,
        found=found,
        extractors=[extractor.name for extractor in await parts.extractors.list()],
        topic=None if cursor or form.wanted is None else _topic(form.wanted),
        first=form.address() if cursor else None,
        older=form.address(cursor=found.next) if found and found.next else None,
        groups_shown=GROUPS_SHOWN,
        most_counted=MAX_COUNTED,
    )


async def _read(parts: Parts, wanted: JobFilter | None, cursor: str | None) -> tuple[JobList | None, str]:
    """Read the page; where that is too much, say so."""
    if wanted is None:
        return None, ""
    try:
        return await list_jobs(parts.jobs, parts.stall_detector(), wanted, limit=JOBS_PER_PAGE, cursor=cursor), ""
    except TooBroadError:
        return None, "Too much to look through: narrow the time range, or filter by more."


def _topic(wanted: JobFilter) -> str:
    """Choose the narrowest topic that tells of every change to the list."""
    if wanted.resource:
        return f"resource:{wanted.resource}"
    return f"extractor:{wanted.extractor}" if wanted.extractor else "all"

"""The page of jobs: search and filters in its address, one page of a list that goes on, and what names no job."""

from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from jobtrail.models.errors import TooBroadError
from jobtrail.models.jobs.status import Status
from jobtrail.operations.job_list import JobList, JobListRequest, list_jobs
from jobtrail.store.jobs.without_job_id import MAX_COUNTED
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.pages.jobs.form import JobForm, JobQuery, read_form
from jobtrail.web.parts import Parts

JOBS_PER_PAGE = 50
GROUPS_SHOWN = 20
"""Groups of updates that name no job; the others are found by their resource."""

router = APIRouter(include_in_schema=False)


@router.get("/jobs")
async def jobs(
    parts: AppParts,
    request: Request,
    identity: Caller,
    typed: Annotated[JobQuery, Query()],
) -> Response:
    if "" in request.query_params.values():
        # A browser sends the fields that were left empty too; without them the address is fit for a bookmark.
        return RedirectResponse(typed.address(cursor=typed.cursor), HTTPStatus.SEE_OTHER)
    form = read_form(typed, datetime.now(UTC))
    found, problems = await _read(parts, form)
    return await parts.renderer.page(
        request,
        identity,
        "jobs.html",
        status=HTTPStatus.BAD_REQUEST if problems else HTTPStatus.OK,
        form=form,
        problems=problems,
        found=found,
        statuses=tuple(Status),
        extractors=[extractor.name for extractor in await parts.extractors.list()],
        topic=None if typed.cursor or problems else _topic(form),
        first=typed.address() if typed.cursor else None,
        older=typed.address(cursor=found.next) if found and found.next else None,
        groups_shown=GROUPS_SHOWN,
        most_counted=MAX_COUNTED,
    )


async def _read(parts: Parts, form: JobForm) -> tuple[JobList | None, Mapping[str, str]]:
    """Read the page; where it can't be, tell what is wrong by field."""
    if form.problems:
        return None, form.problems
    request = JobListRequest(
        wanted=form.wanted,
        stalled_only=bool(form.typed.stalled),
        limit=JOBS_PER_PAGE,
        cursor=form.typed.cursor or None,
    )
    try:
        return await list_jobs(parts.jobs, parts.judge(), request), {}
    except TooBroadError:
        return None, {"q": "Too much to look through: narrow the time range, or filter by more."}


def _topic(form: JobForm) -> str:
    """Choose the narrowest topic that tells of every change to the list."""
    wanted = form.wanted
    if wanted.resource_id:
        return f"resource:{wanted.resource_id}"
    return f"extractor:{wanted.extractor_id}" if wanted.extractor_id else "all"

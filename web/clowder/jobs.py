"""Clowder 2's jobs."""

from collections.abc import AsyncIterator, Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from jobtrail.models.errors import NotFoundError
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.clowder.reads import ClowderReads, CreatedJobs
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.web.clowder.parameters import ClowderJobQuery
from jobtrail.web.clowder.route import INVALID, ClowderRoute
from jobtrail.web.clowder.schemas import (
    ClowderJobPageSchema,
    ClowderJobSchema,
    ClowderStatus,
    ClowderUpdateSchema,
    DetailSchema,
    PageMetadataSchema,
)
from jobtrail.web.dependencies import AppParts
from jobtrail.web.paths import PathId

_UPDATES_PER_CHUNK = 200
_NO_SUCH_JOB: dict[int | str, dict[str, object]] = INVALID | {
    404: {"model": DetailSchema, "description": "There is no such job."}
}
_UPDATES: dict[int | str, dict[str, object]] = _NO_SUCH_JOB | {
    200: {"model": list[ClowderUpdateSchema], "description": "The updates, in order."}
}

router = APIRouter(prefix="/api/v2/jobs", tags=["Clowder 2"], route_class=ClowderRoute)


@router.get("", summary="List jobs, the newest first", responses=INVALID)
async def list_jobs(parts: AppParts, query: Annotated[ClowderJobQuery, Query()]) -> ClowderJobPageSchema:
    found = await parts.clowder.jobs(_wanted(query), skip=query.skip, limit=query.limit)
    metadata = PageMetadataSchema(total_count=found.total, skip=query.skip, limit=query.limit)
    return ClowderJobPageSchema(metadata=metadata, data=await _shown(parts.clowder, found.jobs))


@router.get("/{job_id}/summary", summary="Read one job", responses=_NO_SUCH_JOB)
async def summary(parts: AppParts, job_id: PathId) -> ClowderJobSchema:
    [shown] = await _shown(parts.clowder, [await _job(parts.jobs, job_id)])
    return shown


@router.get(
    "/{job_id}/updates",
    summary="Read all updates of one job, in order",
    response_class=StreamingResponse,
    responses=_UPDATES,
)
async def updates(parts: AppParts, job_id: PathId) -> StreamingResponse:
    await _job(parts.jobs, job_id)
    return StreamingResponse(_as_json(_updates(parts.jobs, job_id)), media_type="application/json")


def _wanted(query: ClowderJobQuery) -> CreatedJobs:
    return CreatedJobs(
        extractor_id=query.listener_id,
        user_id=query.user_id,
        resource_ids={each for each in (query.file_id, query.dataset_id) if each is not None},
        statuses=None if query.status is None else _statuses(query.status),
        created_on=query.created,
    )


def _statuses(words: str) -> Sequence[Status] | None:
    """Find the statuses that Clowder's search for these words would; None where they leave out none."""
    matching = [status for status in Status if words.upper() in ClowderStatus.of(status)]
    return None if len(matching) == len(Status) else matching


async def _job(jobs: JobRepository, job_id: str) -> JobState:
    try:
        return await jobs.get(job_id)
    except NotFoundError as error:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"Job {job_id} not found") from error


async def _shown(reads: ClowderReads, jobs: Sequence[JobState]) -> list[ClowderJobSchema]:
    datasets = await reads.datasets_among({job.resource_id for job in jobs})
    return [ClowderJobSchema.of(job, is_on_dataset=job.resource_id in datasets) for job in jobs]


async def _updates(jobs: JobRepository, job_id: str) -> AsyncIterator[ClowderUpdateSchema]:
    """Read a job's updates; its submission is none to Clowder, which tells it as the time of creation."""
    async for event in jobs.events(job_id):
        if event.update.state is not Status.SUBMITTED:
            yield ClowderUpdateSchema.of(job_id, event)


async def _as_json(updates: AsyncIterator[ClowderUpdateSchema]) -> AsyncIterator[str]:
    """Write a JSON array piece by piece: a job may have so many updates that they should not all be held at once."""
    yield "["
    separator, waiting = "", list[str]()
    async for update in updates:
        waiting.append(update.model_dump_json())
        if len(waiting) == _UPDATES_PER_CHUNK:
            yield separator + ",".join(waiting)
            separator = ","
            waiting.clear()
    if waiting:
        yield separator + ",".join(waiting)
    yield "]"

"""Clowder 1: how far the extractions of a file are, and the extractors."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from jobtrail.models.errors import NotFoundError
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import Event, JobState
from jobtrail.models.jobs.status import RUNNING, Status
from jobtrail.store.clowder.reads import ClowderReads
from jobtrail.store.jobs.resources import ResourceGroup
from jobtrail.web.clowder.route import INVALID, ClowderRoute
from jobtrail.web.clowder.schemas import ExtractorInfoSchema, NoExtractorSchema
from jobtrail.web.dependencies import AppParts
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId

STATUS = "Status"
DONE = "DONE"
ALL_DONE = "Done"
AT_WORK = "Processing"
NOTHING_YET = "Required Extractor is either busy or is not currently running. Try after some time."
"""Clowder's own sentence."""

_RUNNING_JOBS = 100
_EXAMPLE = {"ncsa.wordcount": DONE, "ncsa.cv.eyes": "StatusMessage.processing: Downloading file.", STATUS: AT_WORK}
_STATUS: dict[int | str, dict[str, object]] = INVALID | {200: {"content": {"application/json": {"example": _EXAMPLE}}}}
_NO_SUCH_EXTRACTOR: dict[int | str, dict[str, object]] = INVALID | {
    404: {"model": NoExtractorSchema, "description": "There is no such extractor."}
}


@dataclass(slots=True, frozen=True, kw_only=True)
class _LatestWord:
    """What an extractor said last about a file."""

    text: str
    has_ended: bool


router = APIRouter(prefix="/api", tags=["Clowder 1"], route_class=ClowderRoute)


@router.get(
    "/extractions/{file_id}/status",
    summary="Tell how far the extractions of a file are",
    responses=_STATUS,
)
async def status(parts: AppParts, file_id: PathId) -> dict[str, str]:
    """Answer the latest text of each extractor by its name, and under `Status` how it is with all of them."""
    groups = await parts.resources.groups(file_id)
    said = await asyncio.gather(*(_latest_word(parts.clowder, file_id, group) for group in groups))
    words = {group.extractor_id: word for group, word in zip(groups, said, strict=True) if word}
    newest = {group.latest.job_id for group in groups if group.latest}
    is_at_work = not all(word.has_ended for word in words.values()) or await _runs(parts, file_id, besides=newest)
    summary = (AT_WORK if is_at_work else ALL_DONE) if words else NOTHING_YET
    return {name: word.text for name, word in words.items()} | {STATUS: summary}


@router.get("/extractors", summary="List extractors, by name")
async def extractors(parts: AppParts) -> list[ExtractorInfoSchema]:
    return [ExtractorInfoSchema.of(record) for record in await parts.extractors.list()]


@router.get(
    "/extractors/{name}",
    summary="Read one extractor",
    response_model=ExtractorInfoSchema,
    responses=_NO_SUCH_EXTRACTOR,
)
async def extractor(parts: AppParts, name: PathId) -> ExtractorInfoSchema | JSONResponse:
    try:
        return ExtractorInfoSchema.of(await parts.extractors.get(name))
    except NotFoundError:
        return JSONResponse(NoExtractorSchema().json_object(), HTTPStatus.NOT_FOUND)


async def _latest_word(reads: ClowderReads, resource_id: str, group: ResourceGroup) -> _LatestWord | None:
    job, unnamed = group.latest, group.unnamed
    if job is not None and (unnamed is None or unnamed.updated_at <= job.updated_at):
        event = await reads.latest_update_of_job(job.job_id)
    else:
        job, event = None, await reads.latest_update_without_job(group.extractor_id, resource_id)
    return None if event is None else _word(event, job)


def _word(event: Event, job: JobState | None) -> _LatestWord:
    """Tell an update as Clowder 1 does, which keeps only `DONE` of what is done.

    Its rule, any text that holds "done", is used where the text names no status: "half done" in the words of a worker
    that says it is processing is no end.
    """
    update = event.update
    is_free_text = update.message == update.status
    is_done = update.state is Status.SUCCEEDED or (is_free_text and DONE in update.status.upper())
    status = update.state if job is None else job.status
    return _LatestWord(text=DONE if is_done else update.status, has_ended=is_done or status.is_end)


async def _runs(parts: Parts, resource_id: str, *, besides: Collection[str]) -> bool:
    """Tell whether an older job still runs on a resource; one whose worker is gone does not."""
    running = await parts.jobs.list(JobFilter(resource=resource_id, status=RUNNING), limit=_RUNNING_JOBS)
    detector = parts.stall_detector()
    return any([await detector.stall(job) is None for job in running.jobs if job.job_id not in besides])

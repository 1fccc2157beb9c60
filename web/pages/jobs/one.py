"""One job: what became of it, where its time went, and everything that its workers said."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterFilter
from jobtrail.models.heartbeat import likely_queues
from jobtrail.models.jobs.status import Status
from jobtrail.models.token import Role
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.events import EventLines
from jobtrail.store.jobs.outline import OutlineRepository
from jobtrail.store.keyset import Page
from jobtrail.web.auth.identity import Identity
from jobtrail.web.charts.dead_letters import STATE_WORDS
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.pages.jobs.acts import OUTCOMES
from jobtrail.web.pages.jobs.view import JobReader, JobView, PageQuery
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId

LETTERS_SHOWN = 5

router = APIRouter(include_in_schema=False)


@router.get("/jobs/{job_id}")
async def job(
    parts: AppParts,
    request: Request,
    job_id: PathId,
    identity: Caller,
    asked: Annotated[PageQuery, Query()],
) -> HTMLResponse:
    detector = parts.stall_detector()
    reader = JobReader(parts.jobs, OutlineRepository(parts.database), EventLines(parts.database))
    view = await reader.read(job_id, asked, detector)
    letters = await _letters(parts, identity, job_id)
    return await parts.renderer.page(
        request,
        identity,
        "job.html",
        view=view,
        job=view.job,
        diagnosis=await parts.stuck.why(view.job, detector),
        pc=percent,
        statuses=tuple(Status),
        outcome=OUTCOMES.get(asked.outcome),
        queues=await _queues(identity, view, detector),
        letters=letters.rows,
        more_letters=letters.next is not None,
        letter_words=STATE_WORDS,
    )


async def _queues(identity: Identity, view: JobView, detector: StallDetector) -> Sequence[str]:
    """Return where an operator may submit the job again; empty for others, and while it has not ended."""
    if identity.role is not Role.OPERATOR or not view.job.status.is_end:
        return ()
    return likely_queues(await detector.instances(view.job.extractor_id), view.job.extractor_id)


async def _letters(parts: Parts, identity: Identity, job_id: str) -> Page[DeadLetter]:
    """Read the newest dead letters of a job, for an operator: they hold what others sent."""
    if identity.role is not Role.OPERATOR:
        return Page(rows=[], next=None)
    return await parts.letters.list(LetterFilter(job_id=job_id), limit=LETTERS_SHOWN)


def percent(x: float) -> str:
    """Write a place on a timeline as SVG has it: text keeps its size where places are percentages of the width."""
    return f"{x / 10:.2f}%"

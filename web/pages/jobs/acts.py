"""The buttons of a job's page: cancel it, or submit it again. Each leads back to a page that says what happened."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from jobtrail.models.errors import BrokerError, JobTrailError, NotFoundError, SettingError, StoreError, TooLateError
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.wire import MAX_NAME_LENGTH
from jobtrail.operations.schemas.acts import SubmissionSchema
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.paths import PathId, address, local_path
from jobtrail.web.render import query

_STORED_WITHIN_S = 3.0
_POLL_S = 0.05


@dataclass(slots=True, frozen=True, kw_only=True)
class ActBanner:
    """How a page says what an act did."""

    tone: str
    text: str


OUTCOMES = {
    "cancelled": ActBanner(tone="good", text="Cancelled: the request was taken back from the queue."),
    "too-late": ActBanner(tone="warn", text="Too late to cancel: a worker has taken the job, or it has ended."),
    "no-queue": ActBanner(tone="warn", text="Nothing was changed: the broker has no queue of this extractor."),
    "not-cancelled": ActBanner(
        tone="warn",
        text="Not cancelled: too many requests wait in the queue, or another cancellation is in progress. Try again.",
    ),
    "no-broker": ActBanner(
        tone="bad", text="RabbitMQ can't be reached. If the request went through anyway, this page will show it."
    ),
    "submitted": ActBanner(tone="good", text="This job was submitted just now."),
    "submitted-unseen": ActBanner(
        tone="warn", text="Submitted, but the new job's first update is not stored yet. Is the consumer running?"
    ),
}
"""By the word in the address: a link can choose one of these texts, but not bring its own."""

router = APIRouter(include_in_schema=False)


@router.post("/jobs/{job_id}/cancel")
async def cancel(
    parts: AppParts,
    job_id: PathId,
    identity: Operator,
    next: Annotated[str, Form()] = "",  # the field's name
) -> RedirectResponse:
    await parts.jobs.get(job_id)
    try:
        await parts.job_acts.cancel(identity, job_id)
    except JobTrailError as error:
        return _back_to(job_id, outcome=_refusal(error))
    await _until(parts.jobs, job_id, lambda job: job.status.is_end)
    return RedirectResponse(local_path(next), 303) if next else _back_to(job_id, outcome="cancelled")


@router.post("/jobs/{job_id}/submit-again")
async def submit_again(
    parts: AppParts,
    job_id: PathId,
    identity: Operator,
    queue: Annotated[str, Form(min_length=1, max_length=MAX_NAME_LENGTH)],
    kind: Annotated[Literal["file", "dataset"], Form()],
) -> RedirectResponse:
    job = await parts.jobs.get(job_id)
    # Nothing else of the first request is stored.
    try:
        asked = SubmissionSchema(
            queue=queue, resource_id=job.resource_id, extractor=job.extractor_id, user=job.user_id, type=kind
        )
    except ValidationError:
        return _back_to(job_id, outcome="no-queue")
    try:
        new_id = await parts.job_acts.submit(identity, asked, again=job)
    except JobTrailError as error:
        return _back_to(job_id, outcome=_refusal(error))
    if await _until(parts.jobs, new_id, lambda _job: True):
        return _back_to(new_id, outcome="submitted")
    return _back_to(job_id, outcome="submitted-unseen", new=new_id)


def _refusal(error: JobTrailError) -> str:
    match error:
        case StoreError():
            raise error
        case BrokerError() | SettingError():
            return "no-broker"
        case TooLateError():
            return "too-late"
        case NotFoundError():
            return "no-queue"
        case _:
            return "not-cancelled"


async def _until(jobs: JobRepository, job_id: str, holds: Callable[[JobState], bool]) -> bool:
    """Wait for the consumer to store what follows from an act, so that the page shows it; but not for long."""
    try:
        async with asyncio.timeout(_STORED_WITHIN_S):
            while True:
                try:
                    if holds(await jobs.get(job_id)):
                        return True
                except NotFoundError:
                    pass  # the update is on its way
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        return False


def _back_to(job_id: str, **parameters: str) -> RedirectResponse:
    return RedirectResponse(f"{address('jobs', job_id)}{query(**parameters)}", 303)

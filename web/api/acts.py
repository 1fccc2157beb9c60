"""What is asked for and taken back: jobs that are submitted and cancelled."""

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from jobtrail.models.audit import Outcome
from jobtrail.models.errors import BrokerError, JobTrailError, NotFoundError, StoreError, TooLateError
from jobtrail.operations.cancellation import find_target, take_back
from jobtrail.operations.schemas.acts import CancelledSchema, SubmissionSchema, SubmittedSchema
from jobtrail.publisher.cancellation import CancelResult
from jobtrail.publisher.submission import submit
from jobtrail.web.api.answers import answer, documented
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked, Name
from jobtrail.web.auth.identity import Identity
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address


class AskedCancellation(Asked):
    """Where to look for the request."""

    queue: Annotated[Name, Field(max_length=255)] | None = Field(
        None, examples=["ncsa.wordcount"], description="The queue it waits in; else those of the job's extractor."
    )


def acts_router(parts: Parts) -> APIRouter:
    """Make the endpoints.

    Args:
        parts: The application's parts.

    Returns:
        The router.
    """
    router = APIRouter(tags=["jobs"])
    operator = Depends(parts.authenticator.operator)

    @router.post(
        "/jobs",
        summary="Submit a job",
        **documented(examples.SUBMITTED, 400, 404, 413, 415, status=HTTPStatus.ACCEPTED),
    )
    async def submit_job(asked: SubmissionSchema, asker: Annotated[Identity, operator]) -> Response:
        """Puts a request into the workers' queue; 404 tells that there is no such queue.

        The job can be read as soon as the consumer has stored its first update.
        """
        job_id = await _submit(parts, asker, asked)
        made = SubmittedSchema(job_id=job_id, queue=asked.queue, resource_id=asked.resource_id)
        return answer(made, {"Location": address("api", "v1", "jobs", job_id)}, HTTPStatus.ACCEPTED)

    @router.post("/jobs/{job_id}/cancel", summary="Cancel a job", **documented(examples.CANCELLED, 400, 404, 409))
    async def cancel_job(
        job_id: PathId, asked: Annotated[AskedCancellation, Query()], asker: Annotated[Identity, operator]
    ) -> Response:
        """Takes a request back that no worker has taken yet; 409 tells that it is too late."""
        result = await _cancel(parts, asker, job_id, asked.queue)
        return answer(CancelledSchema(job_id=job_id, queue=result.queue, resource_id=result.resource_id))

    return router


async def _submit(parts: Parts, asker: Identity, asked: SubmissionSchema) -> str:
    details = {"queue": asked.queue, "resource": asked.resource_id} | ({"user": asked.user} if asked.user else {})
    url = _broker(parts)
    try:
        job_id = await asyncio.to_thread(
            submit,
            url,
            asked.queue,
            resource_id=asked.resource_id,
            extractor_id=asked.extractor,
            user_id=asked.user,
            job_id=asked.job_id,
            resource_type=asked.type,
            parameters=asked.parameters,
            filename=asked.filename,
            dataset_id=asked.dataset,
            reply_queue=parts.settings.reply_stream,
            partitions=parts.settings.reply_partitions,
        )
    except (BrokerError, NotFoundError) as error:
        await parts.audit.note(asker, "job.submit", target=asked.job_id or "", outcome=_outcome(error), details=details)
        raise
    await parts.audit.note(asker, "job.submit", target=job_id, details=details)
    return job_id


async def _cancel(parts: Parts, asker: Identity, job_id: str, queue: str | None) -> CancelResult:
    _broker(parts)
    try:
        target = await find_target(parts.database, job_id, queue)
        result = await asyncio.to_thread(take_back, parts.settings, job_id, target)
    except StoreError:
        raise
    except JobTrailError as error:
        await parts.audit.note(asker, "job.cancel", target=job_id, outcome=_outcome(error))
        if isinstance(error, BrokerError | NotFoundError | TooLateError):
            raise
        # Somebody else cancels there right now, or too many requests wait: it may go better the next time.
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}) from error
    await parts.audit.note(asker, "job.cancel", target=job_id, details={"queue": result.queue})
    return result


def _outcome(error: JobTrailError) -> Outcome:
    return Outcome.FAILED if isinstance(error, BrokerError) else Outcome.REFUSED


def _broker(parts: Parts) -> str:
    if parts.settings.amqp_url is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "This web knows no broker: JOBTRAIL_AMQP_URL is not set.")
    return parts.settings.amqp_url.get_secret_value()

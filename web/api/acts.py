"""What is asked for and taken back: jobs that are submitted and cancelled."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from jobtrail.models.errors import JobTrailError, NotFoundError, TooLateError, UnreachableError
from jobtrail.models.filters import Name
from jobtrail.operations.job_acts import JobActs
from jobtrail.operations.schemas.acts import CancelledSchema, SubmissionSchema, SubmittedSchema
from jobtrail.web.api.answers import answer, documented
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address


class AskedCancellation(Asked):
    """Where to look for the request."""

    queue: Annotated[Name, Field(max_length=255)] | None = Field(
        None, examples=["ncsa.wordcount"], description="The queue it waits in; else those of the job's extractor."
    )


router = APIRouter(tags=["jobs"])


@router.post(
    "/jobs",
    summary="Submit a job",
    **documented(examples.SUBMITTED, 400, 404, 413, 415, status=HTTPStatus.ACCEPTED),
)
async def submit_job(parts: AppParts, asked: SubmissionSchema, identity: Operator) -> Response:
    """Puts a request into the workers' queue; 404 tells that there is no such queue.

    The job can be read as soon as the consumer has stored its first update.
    """
    job_id = await _acts(parts).submit(identity, asked)
    made = SubmittedSchema(job_id=job_id, queue=asked.queue, resource_id=asked.resource_id)
    return answer(made, {"Location": address("api", "v1", "jobs", job_id)}, HTTPStatus.ACCEPTED)


@router.post("/jobs/{job_id}/cancel", summary="Cancel a job", **documented(examples.CANCELLED, 400, 404, 409))
async def cancel_job(
    parts: AppParts, job_id: PathId, asked: Annotated[AskedCancellation, Query()], identity: Operator
) -> Response:
    """Takes a request back that no worker has taken yet; 409 tells that it is too late."""
    try:
        result = await _acts(parts).cancel(identity, job_id, asked.queue)
    except (UnreachableError, NotFoundError, TooLateError):
        raise
    except JobTrailError as error:
        # Another cancellation is at this queue, or too many requests wait in it: it may go better the next time.
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error), {"Retry-After": "5"}) from error
    return answer(CancelledSchema(job_id=job_id, queue=result.queue, resource_id=result.resource_id))


def _acts(parts: Parts) -> JobActs:
    if parts.settings.amqp_url is None:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "This web knows no broker: JOBTRAIL_AMQP_URL is not set.")
    return parts.job_acts

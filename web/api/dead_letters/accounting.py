"""Message accounting. For operators only."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from jobtrail.models.filters import Moment
from jobtrail.operations.schemas.accounting import AuditSchema
from jobtrail.web.api.answers import answer, documented
from jobtrail.web.api.examples import dead_letters as examples
from jobtrail.web.api.parameters import Asked
from jobtrail.web.dependencies import AppParts, get_operator

_SINCE = timedelta(days=1)


class AskedAudit(Asked):
    """Which hours."""

    since: Moment | None = Field(
        None, examples=["1d"], description="From this hour on, at most eight days ago; default: the last day."
    )


router = APIRouter(tags=["dead letters"], dependencies=[Depends(get_operator)])


@router.get("/conservation", summary="Account for messages", **documented(examples.AUDIT, 400))
async def conservation(parts: AppParts, asked: Annotated[AskedAudit, Query()]) -> Response:
    """Checks by hour that each message taken from a stream or queue is found exactly once.

    `missing` and `doubled` should be 0. Of a stream, the first wrong numbers are listed.
    Results are cached for five seconds.
    """
    return answer(AuditSchema.model_validate(await parts.audits.read(asked.since or datetime.now(UTC) - _SINCE)))

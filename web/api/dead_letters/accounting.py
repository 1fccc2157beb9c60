"""The conservation audit. For operators only."""

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
        None, examples=["1d"], description="From this hour on, eight days back at the most; else the last day."
    )


router = APIRouter(tags=["dead letters"], dependencies=[Depends(get_operator)])


@router.get("/conservation", summary="Audit the conservation of messages", **documented(examples.AUDIT, 400))
async def conservation(parts: AppParts, asked: Annotated[AskedAudit, Query()]) -> Response:
    """Looks for each message that was taken from a stream or queue, hour by hour.

    `missing` and `doubled` should be 0. Of a stream, the first numbers that are wrong are named.
    What is found is kept for five seconds, for all who ask.
    """
    return answer(AuditSchema.of(await parts.audits.read(asked.since or datetime.now(UTC) - _SINCE)))

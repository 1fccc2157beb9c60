"""The messages to other services."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field

from jobtrail.operations.notification_acts import retry_messages
from jobtrail.operations.schemas.base import Schema
from jobtrail.operations.schemas.outbox import OutboxSchema, RetriedSchema
from jobtrail.web.api.answers import answer, documented
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked, Limit
from jobtrail.web.dependencies import AppParts, Operator, get_operator

_MAX_KEYS = 1000
Key = Annotated[str, Field(min_length=1, max_length=2048, examples=["ds-1:Complete:slack:C0123456789"])]


class AskedOutbox(Asked):
    """Which messages."""

    failed: bool = Field(default=False, description="Only messages that were given up.")
    limit: Limit = 50


class RetrySchema(Schema):
    """What is to be tried again."""

    keys: Annotated[list[Key], Field(min_length=1, max_length=_MAX_KEYS)] | None = Field(
        None, description="Only these messages; else all that were given up."
    )


router = APIRouter(prefix="/outbox", tags=["outbox"])


@router.get(
    "",
    summary="List messages to the outside",
    dependencies=[Depends(get_operator)],
    **documented(examples.OUTBOX, 400),
)
async def outbox(parts: AppParts, asked: Annotated[AskedOutbox, Query()]) -> Response:
    """What is not sent and what was sent lately, the newest first, up to `limit` of each; and how much waits.

    For operators, as it names who was told what.
    """
    overview = await parts.outbox.overview(failed_only=asked.failed, limit=asked.limit, max_sent=asked.limit)
    return answer(OutboxSchema.of(overview))


@router.post("/retry", summary="Try messages again", **documented(examples.RETRIED, 400, 404, 413, 415))
async def retry(parts: AppParts, identity: Operator, asked: RetrySchema | None = None) -> Response:
    """Those that were given up, with all their attempts before them. What was one message stays one."""
    keys = asked.keys if asked else None
    return answer(RetriedSchema(retried=await retry_messages(parts.outbox, parts.audit, identity, keys)))

"""Dead letters by cause: all groups, and one of them."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.dry_run import DryRun
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.web.charts.dead_letters import STATE_WORDS, hours_chart, hours_spark, state_shares
from jobtrail.web.dead_letters.dry_run import bounded_dry_run
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.dead_letters.act_result import ActQuery
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address
from jobtrail.web.render import query

GROUPS_PER_PAGE = 25
LETTERS_SHOWN = 10


class GroupQuery(BaseModel):
    """What stands in the address of the groups."""

    all: str = ""
    cursor: str = ""


class OneGroupQuery(ActQuery):
    """What stands in the address of a group."""

    dry_run: str = ""
    """Whether to show a dry run."""
    to: str = ""
    """Its target queue."""


router = APIRouter(include_in_schema=False)


@router.get("/dead-letters")
async def groups(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[GroupQuery, Query()]
) -> HTMLResponse:
    page = await parts.causes.list(unsettled_only=not typed.all, limit=GROUPS_PER_PAGE, cursor=typed.cursor or None)
    here = f"/dead-letters{query(all=typed.all)}"
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters.html",
        groups=page.rows,
        show_all=bool(typed.all),
        first=here if typed.cursor else None,
        older=f"/dead-letters{query(all=typed.all, cursor=page.next)}" if page.next else None,
        spark=hours_spark,
        reason_words=reason_words,
        shares=state_shares,
        queues=parts.settings.captured_queues,
    )


@router.get("/dead-letters/groups/{group_id}")
async def group(
    parts: AppParts,
    request: Request,
    group_id: PathId,
    identity: Operator,
    typed: Annotated[OneGroupQuery, Query()],
) -> HTMLResponse:
    found, letters, dry_run = await asyncio.gather(
        parts.causes.get(group_id),
        parts.letters.list(LetterFilter(cause_id=group_id), limit=LETTERS_SHOWN),
        _dry_run(parts, group_id, typed),
    )
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters_group.html",
        group=found,
        here=address("dead-letters", "groups", group_id),
        letters=letters.rows,
        has_more=letters.next is not None,
        chart=hours_chart(found, datetime.now(UTC)),
        shares=state_shares(found),
        words=STATE_WORDS,
        reason_words=reason_words(found.cause.reason),
        dry_run=dry_run,
        typed=typed,
        result=typed.result(),
        targets=_targets(parts, found.cause.origin),
    )


async def _dry_run(parts: Parts, group_id: str, typed: OneGroupQuery) -> DryRun | None:
    if not typed.dry_run:
        return None
    return await bounded_dry_run(parts, LetterFilter(cause_id=group_id), typed.to.strip() or None)


def _targets(parts: Parts, origin: str) -> list[str]:
    """Suggest target queues."""
    return [queue for queue in dict.fromkeys([origin, *parts.settings.reply_streams]) if queue]

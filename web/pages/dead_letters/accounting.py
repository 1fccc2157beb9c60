"""Message accounting: whether each message that was taken from a stream or queue is found once, hour by hour."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from jobtrail.broker.queue_depth import QueueDepth
from jobtrail.deadletters.accounting import Audit
from jobtrail.models.dead_letters.accounting import Balance
from jobtrail.models.position import Position
from jobtrail.web.dependencies import AppParts, Operator

WINDOWS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "3d": timedelta(days=3), "7d": timedelta(days=7)}


@dataclass(slots=True, frozen=True, kw_only=True)
class Ledger:
    """The hours of one queue or stream."""

    queue: str
    balances: Sequence[Balance]
    """The latest hour first."""
    position: Position | None = None
    """How far it is stored; only of a stream."""
    depth: QueueDepth | None = None
    """What waits in it; None for a stream, and for a queue that is not of interest any more."""

    @property
    def wrong(self) -> int:
        """Messages that are not found exactly once."""
        return sum(balance.wrong for balance in self.balances)


class ConservationQuery(BaseModel):
    """What stands in the address."""

    window: str = "24h"


router = APIRouter(include_in_schema=False)


@router.get("/dead-letters/conservation")
async def conservation(
    parts: AppParts,
    request: Request,
    identity: Operator,
    typed: Annotated[ConservationQuery, Query()],
) -> HTMLResponse:
    window = typed.window if typed.window in WINDOWS else "24h"
    audit = await parts.audits.read(datetime.now(UTC) - WINDOWS[window])
    return await parts.renderer.page(
        request,
        identity,
        "conservation.html",
        audit=audit,
        ledgers=ledgers(audit),
        windows=tuple(WINDOWS),
        window=window,
    )


def ledgers(audit: Audit) -> Sequence[Ledger]:
    """Order the balances by queue: those with missing or doubled messages first."""
    positions = {position.stream: position for position in audit.positions}
    depths = {depth.queue: depth for depth in audit.waiting}
    by_queue = {queue: list(balances) for queue, balances in groupby(audit.balances, lambda each: each.tally.queue)}
    found = [
        Ledger(
            queue=queue,
            balances=by_queue.get(queue, [])[::-1],
            position=positions.get(queue),
            depth=depths.get(queue),
        )
        for queue in dict.fromkeys([*positions, *depths, *by_queue])
    ]
    return sorted(found, key=lambda ledger: not ledger.wrong)

"""Replays of dead letters: all of them, and one with its progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from jobtrail.models.dead_letters.dead_letter import LetterState
from jobtrail.models.dead_letters.replay import STAGES, Replay, ReplayState
from jobtrail.operations.dead_letters import selection_words
from jobtrail.web.charts.dead_letters import Share, shares
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.dead_letters.act_result import ActQuery
from jobtrail.web.paths import PathId
from jobtrail.web.render import query

ROWS_PER_PAGE = 25
UNATTENDED_S = 5.0
"""Seconds after which a waiting replay is a sign that the service does not run."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Stage:
    """A step of a staged replay."""

    first: int
    """The number of its first letter."""
    last: int
    sent: int
    """Of its letters."""
    state: str
    """`done`, `now`, `next`, or `halted`."""

    @property
    def count(self) -> int:
        """Letters that it is about."""
        return self.last - self.first + 1

    @property
    def percent(self) -> float:
        """How much of it was sent."""
        return round(100 * self.sent / self.count, 1)


class ReplaysQuery(ActQuery):
    """What stands in the address of the replays."""

    cursor: str = ""


router = APIRouter(include_in_schema=False)


@router.get("/dead-letters/replays")
async def replays(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[ReplaysQuery, Query()]
) -> HTMLResponse:
    page = await parts.replays.list(limit=ROWS_PER_PAGE, cursor=typed.cursor or None)
    return await parts.renderer.page(
        request,
        identity,
        "replays.html",
        replays=page.rows,
        bar=progress,
        about=selection_words,
        first="/dead-letters/replays" if typed.cursor else None,
        older=f"/dead-letters/replays{query(cursor=page.next)}" if page.next else None,
    )


@router.get("/dead-letters/replays/{replay_id}")
async def replay(
    parts: AppParts, request: Request, replay_id: PathId, identity: Operator, typed: Annotated[ActQuery, Query()]
) -> HTMLResponse:
    found = await parts.replays.get(replay_id)
    return await parts.renderer.page(
        request,
        identity,
        "replay.html",
        replay=found,
        bar=progress(found),
        stages=stages(found),
        about=selection_words(found.selection),
        is_unattended=is_unattended(found, datetime.now(UTC)),
        result=typed.result(),
    )


def progress(replay: Replay) -> Sequence[Share]:
    """Make the bar of a replay's outcomes, and of what is left."""
    count = replay.counts.get
    left = max(0, replay.total - replay.sent)
    return shares(
        [
            ("resolved", "good", count(LetterState.RESOLVED, 0)),
            ("failed again", "bad", replay.failed),
            ("outcome unknown", "warn", count(LetterState.UNKNOWN, 0)),
            ("outcome awaited", "run", replay.pending),
            ("not sent" if replay.state.is_end else "to be sent", "rest", left),
        ],
        replay.total,
    )


def stages(replay: Replay) -> Sequence[Stage]:
    """Cut a staged replay into its steps; one without stages has none."""
    if not replay.staged:
        return ()
    found: list[Stage] = []
    first = 1
    is_ahead = False
    for last in (*STAGES, replay.total):
        end = min(last, replay.total)
        if end < first:
            continue
        sent = min(max(replay.sent - first + 1, 0), end - first + 1)
        is_waited_for = sent == end - first + 1 and replay.sent == end < replay.total
        state = "done"
        if is_ahead:
            state = "next"
        elif sent < end - first + 1 or is_waited_for:
            state = "now"
            is_ahead = True
        if state == "now" and replay.state.is_end:
            state = "halted" if replay.state is ReplayState.HALTED else "next"
        found.append(Stage(first=first, last=end, sent=sent, state=state))
        first = end + 1
    return found


def is_unattended(replay: Replay, now: datetime) -> bool:
    """Whether no process seems to run a waiting replay."""
    return replay.state is ReplayState.WAITING and (now - replay.asked_at).total_seconds() > UNATTENDED_S

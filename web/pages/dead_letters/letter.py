"""One dead letter: what it is, the reason, what a replay would do, and the replays so far."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from jobtrail.deadletters.editing import masked_body
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter
from jobtrail.models.dead_letters.replay import Replay
from jobtrail.models.errors import NotFoundError
from jobtrail.operations.dead_letter_view import SHOWN_BYTES, LetterView, look_at
from jobtrail.web.charts.dead_letters import STATE_WORDS
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.dead_letters.act_result import ActQuery
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address


@dataclass(slots=True, frozen=True, kw_only=True)
class LetterPage:
    """All that the page shows."""

    view: LetterView
    replay: Replay | None
    """The replay that holds it, or sent it last."""
    editable: str | None
    """The body that a replay sends, for a form; None if it is not text, or too long."""

    @property
    def letter(self) -> DeadLetter:
        """The letter."""
        return self.view.letter

    @property
    def may_change(self) -> bool:
        """Whether it can be replayed, edited and discarded."""
        return self.letter.state in UNSETTLED


router = APIRouter(include_in_schema=False)


@router.get("/dead-letters/{letter_id}")
async def letter(
    parts: AppParts,
    request: Request,
    letter_id: PathId,
    identity: Operator,
    typed: Annotated[ActQuery, Query()],
) -> HTMLResponse:
    page = await _read(parts, letter_id)
    return await parts.renderer.page(
        request,
        identity,
        "dead_letter.html",
        page=page,
        view=page.view,
        letter=page.letter,
        here=address("dead-letters", letter_id),
        words=STATE_WORDS,
        result=typed.result(),
        targets=_targets(parts, page.letter),
    )


async def _read(parts: Parts, letter_id: str) -> LetterPage:
    view = await look_at(parts.settings, parts.database, letter_id)
    return LetterPage(view=view, replay=await _replay(parts, view.letter), editable=_editable(view.letter))


def _targets(parts: Parts, letter: DeadLetter) -> list[str]:
    """Suggest target queues."""
    stream = parts.settings.reply_to(letter.job_id or letter.id)
    return [queue for queue in dict.fromkeys([letter.cause.origin, stream]) if queue]


async def _replay(parts: Parts, letter: DeadLetter) -> Replay | None:
    if letter.replay_id is None:
        return None
    try:
        return await parts.replays.get(letter.replay_id)
    except NotFoundError:
        return None


def _editable(letter: DeadLetter) -> str | None:
    body = letter.outgoing[0]
    text = masked_body(body) if len(body) <= SHOWN_BYTES else None
    # A form would change these.
    is_altered = text is None or "\0" in text or "\r" in text.replace("\r\n", "")
    return None if is_altered else text

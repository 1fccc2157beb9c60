"""Replays of dead letters. For operators only."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from jobtrail.operations.schemas.replays import ReplayListSchema, ReplaySchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.dead_letters.selection import AskedReplay
from jobtrail.web.api.examples import dead_letters as examples
from jobtrail.web.api.parameters import AskedPage
from jobtrail.web.dependencies import AppParts, Operator, get_operator
from jobtrail.web.paths import PathId, address

router = APIRouter(prefix="/dead-letters/replays", tags=["dead letters"], dependencies=[Depends(get_operator)])


@router.get("", summary="List replays", **documented(examples.REPLAY_LIST, 400))
async def replays(parts: AppParts, request: Request, asked: Annotated[AskedPage, Query()]) -> Response:
    """The latest first."""
    page = await parts.replays.list(limit=asked.limit, cursor=asked.cursor)
    return answer(ReplayListSchema.model_validate(page), next_link(request, page.next))


@router.post(
    "",
    summary="Replay dead letters",
    **documented(examples.REPLAY, 400, 404, 409, 413, 415, status=HTTPStatus.ACCEPTED),
)
async def start(parts: AppParts, asked: AskedReplay, identity: Operator) -> Response:
    """Sends dead letters again that are open, or whose outcome is unknown, and were captured by now.

    The dead-letter service (`jobtrail deadletters capture`, part of `jobtrail up`) runs it; `Location` shows its
    progress. 404 means that there is nothing to replay, 409 that another replay holds some of these dead letters, and
    who requested it: none is sent twice.
    """
    replay = await parts.dead_letter_acts.replay(
        identity,
        asked.selection(),
        target=asked.to,
        rate=asked.rate,
        staged=asked.staged,
        include_repeated=asked.include_repeated,
    )
    location = address("api", "v1", "dead-letters", "replays", replay.id)
    return answer(ReplaySchema.model_validate(replay), {"Location": location}, HTTPStatus.ACCEPTED)


@router.get("/{replay_id}", summary="Show a replay", **documented(examples.REPLAY, 400, 404))
async def replay(parts: AppParts, replay_id: PathId) -> Response:
    """Its progress, and the outcomes."""
    return answer(ReplaySchema.model_validate(await parts.replays.get(replay_id)))


@router.post("/{replay_id}/cancel", summary="Cancel a replay", **documented(examples.REPLAY, 400, 404, 409))
async def cancel(parts: AppParts, replay_id: PathId, identity: Operator) -> Response:
    """Before its next batch; what was sent stays sent. 409 means that it has ended."""
    return answer(ReplaySchema.model_validate(await parts.dead_letter_acts.cancel(identity, replay_id)))

"""`GET /live`: notifies an open page of changes to what it shows, so that it reloads itself."""

import asyncio
from collections.abc import Collection
from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.exceptions import HTTPException

from jobtrail.models.token import Role
from jobtrail.web.auth.identity import require_operator
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.live.authorization import is_still_authorized
from jobtrail.web.live.listener import KEEPALIVE_S, Listener
from jobtrail.web.live.sse import COMMENT, EventStream, event
from jobtrail.web.live.topics import USER, Topic, TopicName, id_in, is_for_operators

MIN_PAUSE_S = 0.25
"""Seconds between two notifications at the least."""

_CHANGED = event("changed")
_MAX_TOPICS = 20


class PageNotifier(Listener):
    """Notifies a page of the first change at once, and of those that follow within `MIN_PAUSE_S` together."""

    def __init__(self, topics: Collection[Topic]) -> None:
        super().__init__(topics)
        self._has_changed = False
        self._not_before_s = 0.0

    def notify(self, number: int | None) -> None:  # noqa: ARG002  # the page finds out what has changed
        """Note that something has changed."""
        self._has_changed = True
        self._news.set()

    def restarted(self) -> None:
        """Note that something may have changed."""
        self.notify(None)

    async def take(self) -> bytes | None:
        """Wait for a change, or for the time of a keepalive; None ends the stream."""
        clock = asyncio.get_running_loop().time
        while not self._is_over:
            pause_s = self._not_before_s - clock()
            if self._has_changed and pause_s <= 0:
                self._has_changed = False
                self._not_before_s = clock() + MIN_PAUSE_S
                return _CHANGED
            if not await self._wait(pause_s if self._has_changed else KEEPALIVE_S) and not self._has_changed:
                return COMMENT
        return None


router = APIRouter()


@router.get("/live", response_class=EventStream, include_in_schema=False)
async def live(
    parts: AppParts,
    request: Request,
    identity: Caller,
    topic: Annotated[list[TopicName], Query(min_length=1, max_length=_MAX_TOPICS)],
) -> EventStream:
    for each in topic:
        user_id = id_in(each, USER)
        if user_id is not None and identity.role is not Role.OPERATOR and user_id != identity.user_id:
            raise HTTPException(HTTPStatus.FORBIDDEN, "Notifications are shown to their user only.")
        if is_for_operators(each):
            require_operator(identity)
    return EventStream(
        parts.hub.listening(PageNotifier(set(topic))), partial(is_still_authorized, parts.authenticator, request)
    )

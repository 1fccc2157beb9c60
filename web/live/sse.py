"""Server-Sent Events: how they are written, and the answer that goes on sending them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

RETRY_MS = 2000
"""Milliseconds after which a client is to come back."""
COMMENT = b":\n\n"
"""Says that the connection lives."""
WELCOME_S = 60.0
"""Seconds after which it is asked again whether a client is still welcome."""

HELLO = b": JobTrail\nretry: %d\n\n" % RETRY_MS
"""What a stream begins with."""
_PART_BYTES = 64 * 1024
"""Bytes that are handed to the server at once: as many may wait in memory for each slow client."""


def event(kind: str, data: str = "{}", event_id: str | None = None) -> bytes:
    """Write an event.

    Args:
        kind: Its type.
        data: What it tells, on one line; clients pass over an event without.
        event_id: What a client that comes back says it has seen last.

    Returns:
        The bytes.
    """
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()


def event_id_alone(event_id: str) -> bytes:
    """Write what only tells a client how far it is."""
    return f":\nid: {event_id}\n\n".encode()


class EventSource(Protocol):
    """What is sent to one client."""

    async def take(self) -> bytes | None:
        """Wait for what is to be sent next, or for the time to show a sign of life; None ends it."""


class EventStream(Response):
    """An answer that lasts until the client goes, is welcome no more, or its source ends.

    A client that takes nothing stops the sending, and nothing else; the operating system ends its connection.

    Args:
        source: What to send; it is entered for as long as the answer lasts, and ends when it is left.
        is_welcome: Tells whether the client may still have it.
    """

    media_type = "text/event-stream"

    def __init__(self, source: AbstractContextManager[EventSource], is_welcome: Callable[[], Awaitable[bool]]) -> None:
        # No proxy is to keep it, or to gather it before passing it on.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._source = source
        self._is_welcome = is_welcome

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send events until there is a reason to end."""
        tasks: Sequence[asyncio.Task[None]] = ()
        try:
            with self._source as source:
                tasks = (asyncio.create_task(self._send(source, send)), asyncio.create_task(_left(receive)))
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # The source has ended, so that the sending ends even where a cancellation is lost in the driver: Python
            # 3.11's `wait_for` passes over one that comes in the moment when its own task is done.
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _send(self, source: EventSource, send: Send) -> None:
        clock = asyncio.get_running_loop().time
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        ask_at_s = clock() + WELCOME_S
        chunk: bytes | None = HELLO
        while chunk is not None:
            for start in range(0, len(chunk), _PART_BYTES):
                await send(_part(chunk[start : start + _PART_BYTES], more=True))
            if clock() > ask_at_s:
                if not await self._is_welcome():
                    break
                ask_at_s = clock() + WELCOME_S
            chunk = await source.take()
        await send(_part(b"", more=False))


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _left(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass

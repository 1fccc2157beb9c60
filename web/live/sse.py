"""Server-Sent Events: their format, and the answer that keeps sending them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

RETRY_MS = 2000
"""Milliseconds after which a client reconnects."""
COMMENT = b":\n\n"
"""Keeps the connection alive."""
RECHECK_S = 60.0
"""Seconds after which the client's authorization is checked again."""

HELLO = b": JobTrail\nretry: %d\n\n" % RETRY_MS
"""What a stream begins with."""
_PART_BYTES = 64 * 1024
"""Bytes per write: as many may wait in memory for each slow client."""


def event(kind: str, data: str = "{}", event_id: str | None = None) -> bytes:
    """Write an event; `data` is one line, and clients skip an event without it."""
    head = "" if event_id is None else f"id: {event_id}\n"
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()


def event_id_alone(event_id: str) -> bytes:
    """Write what only tells a client its position."""
    return f":\nid: {event_id}\n\n".encode()


class EventSource(Protocol):
    """What is sent to one client."""

    async def take(self) -> bytes | None:
        """Wait for what is to be sent next, a keepalive included; None ends the stream."""


class EventStream(Response):
    """An answer that lasts until the client leaves or loses its authorization, or until its source ends.

    A client that reads nothing blocks only its own stream; the operating system ends its connection.
    """

    media_type = "text/event-stream"

    def __init__(self, source: AbstractContextManager[EventSource], may_stay: Callable[[], Awaitable[bool]]) -> None:
        # Proxies must neither store nor buffer it.
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["Content-Length"]
        self._source = source
        self._may_stay = may_stay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send events until there is a reason to end."""
        tasks: Sequence[asyncio.Task[None]] = ()
        try:
            with self._source as source:
                tasks = (asyncio.create_task(self._send(source, send)), asyncio.create_task(_disconnected(receive)))
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
        check_at_s = clock() + RECHECK_S
        chunk: bytes | None = HELLO
        while chunk is not None:
            for start in range(0, len(chunk), _PART_BYTES):
                await send(_part(chunk[start : start + _PART_BYTES], more=True))
            if clock() > check_at_s:
                if not await self._may_stay():
                    break
                check_at_s = clock() + RECHECK_S
            chunk = await source.take()
        await send(_part(b"", more=False))


def _part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def _disconnected(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass

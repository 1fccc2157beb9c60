"""One client's stream of updates: from its position on, without gaps or repeats."""

import structlog

from jobtrail.models.errors import FeedLostError, StoreError
from jobtrail.store.feed import is_token
from jobtrail.web.live.hub import Hub
from jobtrail.web.live.listener import KEEPALIVE_S, Listener
from jobtrail.web.live.sse import COMMENT, event, event_id_alone
from jobtrail.web.live.topics import Topic
from jobtrail.web.live.update import update_frame

log = structlog.get_logger()

CHUNK_BYTES = 48 * 1024
"""Bytes of updates per chunk."""
_AGAIN_S = 0.2
"""Seconds until the positions of hub and client are compared again."""
_MAX_WAITS = 15
"""How often that is done for a hub that lags behind."""
_OUTAGE_S = 2.0
"""Seconds until the database is read again."""


class Subscription(Listener):
    """The updates of one topic, for one client.

    It holds no updates, only the number of the next one in the hub's buffer. A client so slow that the buffer has
    dropped that update is disconnected, and may come back with its `Last-Event-ID`.

    Args:
        hub: The hub.
        topic: `all`, a job, or a resource.
        after: The token after which to begin; None for the present.
    """

    def __init__(self, hub: Hub, topic: Topic, after: str | None = None) -> None:
        super().__init__((topic,))
        self._hub = hub
        self._topic = topic
        self._after = after if after and is_token(after) else None
        """Where to catch up from; None when that is not needed, or done."""
        self._is_live = False
        """Whether the buffer holds what comes next."""
        self._due: int | None = None
        """The number of the first update in the buffer that is to be sent; None while there is none."""
        self._has_missed = self._after != after
        """Whether the client needs a `reset`, as it may have missed something."""

    def notify(self, number: int | None) -> None:
        """Note the first update that waits to be sent; the others follow it in the buffer."""
        if self._is_live and self._due is None and number is not None:
            self._due = number
            self._news.set()

    def restarted(self) -> None:
        """Start at the present too, unless still catching up: then nothing may be missing."""
        if self._is_live:
            self._lose()
        self._news.set()

    async def take(self) -> bytes | None:
        """Wait for updates, or for the time of a keepalive; None ends the stream: too slow a client, or a stop."""
        while not self._is_over:
            chunk = await self._next()
            if chunk:
                return chunk
            if not self._is_over and not await self._wait(KEEPALIVE_S):
                return self._keepalive()
        return None

    async def _next(self) -> bytes:
        """Return what there is to send; nothing while there is no news."""
        while self._after is not None and not self._is_over:
            chunk = await self._catch_up(self._after)
            if chunk:
                return chunk
        if self._hub.position is None:
            return b""
        if not self._is_live:
            return self._begin(self._hub.position)
        return self._read_buffer()

    def _begin(self, position: str) -> bytes:
        self._is_live = True
        missed, self._has_missed = self._has_missed, False
        return event("reset", event_id=position) if missed else event_id_alone(position)

    def _read_buffer(self) -> bytes:
        if self._due is None:
            return b""
        buffer = self._hub.buffer
        if self._due < buffer.first:
            log.info("Slow client dropped", action="web.live.dropped", topic=self._topic)
            self.end()
            return b""
        frames, due = buffer.read(self._due, self._topic, CHUNK_BYTES)
        self._due = due if due < buffer.end else None
        return b"".join(frames)

    async def _catch_up(self, after: str) -> bytes:
        """Go on in the buffer if it reaches back far enough, else read from the database."""
        position = self._hub.position
        if position is not None and position < after:
            await self._wait_for_hub(after)
            return b""
        number = self._hub.buffer.after(after)
        if number is not None:
            self._after = None
            self._is_live = True
            self._due = number if number < self._hub.buffer.end else None
            return b""
        try:
            portion = await self._hub.read_back(self._topic, after)
        except FeedLostError as error:
            log.info("Client reset", action="web.live.reset", topic=self._topic, reason=str(error))
            self._lose()
            return b""
        except StoreError as error:
            log.warning("Catching up interrupted", action="web.live.interrupted", error=str(error))
            await self._wait(_OUTAGE_S)
            return COMMENT
        self._after = portion.position
        if not portion.updates and self._hub.buffer.after(portion.position) is None:
            await self._wait(_AGAIN_S)
        return b"".join(update_frame(update) for update in portion.updates)

    async def _wait_for_hub(self, after: str) -> None:
        """Wait until the hub reaches a token that another web process has issued; an unknown one counts as lost."""
        for _ in range(_MAX_WAITS):
            await self._wait(_AGAIN_S)
            if self._is_over or (self._hub.position or "") >= after:
                return
        self._lose()

    def _lose(self) -> None:
        self._after = self._due = None
        self._is_live = False
        self._has_missed = True

    def _keepalive(self) -> bytes:
        position = self._hub.position
        # Everything up to there was sent; so an idle client does not come back with an old id.
        return event_id_alone(position) if self._is_live and self._due is None and position else COMMENT

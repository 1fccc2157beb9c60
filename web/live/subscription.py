"""One client's stream of updates: from where it was, without gap or repeat, to the present and on."""

import structlog

from jobtrail.models.errors import FeedLostError, StoreError
from jobtrail.store.feed import is_token
from jobtrail.web.live.hub import Hub
from jobtrail.web.live.listener import SIGN_OF_LIFE_S, Listener
from jobtrail.web.live.sse import COMMENT, event, event_id_alone
from jobtrail.web.live.topics import Topic
from jobtrail.web.live.update import update_frame

log = structlog.get_logger()

CHUNK_BYTES = 48 * 1024
"""Bytes of updates after which a chunk is sent."""
_AGAIN_S = 0.2
"""Seconds until it is looked again whether hub and client have met."""
_MAX_WAITS = 15
"""How often that is done for a hub that lies behind."""
_OUTAGE_S = 2.0
"""Seconds until the database is asked again."""


class Subscription(Listener):
    """The updates of one topic, for one client.

    It holds no updates. It knows the number in the hub's ring where those begin that its client still needs; a client
    that is so slow that the ring has gone on past it is dropped, and may come back with its `Last-Event-ID`.

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
        """Whether the ring tells what comes next."""
        self._due: int | None = None
        """Where in the ring those begin that are to be sent."""
        self._has_missed = self._after != after
        """Whether the client has to be told that it may have missed something."""

    def heard(self, number: int | None) -> None:
        """Note an update; while others are waiting to be sent, they lead to it."""
        if self._is_live and self._due is None and number is not None:
            self._due = number
            self._stirred.set()

    def began(self) -> None:
        """Begin at the present too; one that catches up may not have missed anything."""
        if self._is_live:
            self._lose()
        self._stirred.set()

    async def take(self) -> bytes | None:
        """Wait for updates, or for the time to show a sign of life.

        Returns:
            What to send; None ends it: the client is too slow, or the service stops.
        """
        while not self._is_over:
            chunk = await self._next()
            if chunk:
                return chunk
            if not self._is_over and not await self._wait(SIGN_OF_LIFE_S):
                return self._sign_of_life()
        return None

    async def _next(self) -> bytes:
        """Return what there is to send; nothing where news have to be waited for."""
        while self._after is not None and not self._is_over:
            chunk = await self._catch_up(self._after)
            if chunk:
                return chunk
        if self._hub.position is None:
            return b""
        if not self._is_live:
            return self._begin(self._hub.position)
        return self._read_ring()

    def _begin(self, position: str) -> bytes:
        self._is_live = True
        missed, self._has_missed = self._has_missed, False
        return event("reset", event_id=position) if missed else event_id_alone(position)

    def _read_ring(self) -> bytes:
        if self._due is None:
            return b""
        ring = self._hub.ring
        if self._due < ring.first:
            log.info("Slow client dropped", action="web.live.dropped", topic=self._topic)
            self.end()
            return b""
        frames, due = ring.read(self._due, self._topic, CHUNK_BYTES)
        self._due = due if due < ring.end else None
        return b"".join(frames)

    async def _catch_up(self, after: str) -> bytes:
        """Go on in the ring if it reaches back to there, else read from the database."""
        position = self._hub.position
        if position is not None and position < after:
            await self._wait_for_hub(after)
            return b""
        number = self._hub.ring.after(after)
        if number is not None:
            self._after = None
            self._is_live = True
            self._due = number if number < self._hub.ring.end else None
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
        if not portion.updates and self._hub.ring.after(portion.position) is None:
            await self._wait(_AGAIN_S)
        return b"".join(update_frame(update) for update in portion.updates)

    async def _wait_for_hub(self, after: str) -> None:
        """Let the hub come to a token that another web process has told; one that nobody told is lost."""
        for _ in range(_MAX_WAITS):
            await self._wait(_AGAIN_S)
            if self._is_over or (self._hub.position or "") >= after:
                return
        self._lose()

    def _lose(self) -> None:
        self._after = self._due = None
        self._is_live = False
        self._has_missed = True

    def _sign_of_life(self) -> bytes:
        position = self._hub.position
        # Up to there everything was sent, so that an idle client does not come back with an id of long ago.
        return event_id_alone(position) if self._is_live and self._due is None and position else COMMENT

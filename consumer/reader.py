"""Reads one stream from an offset on. Acknowledgements are flow control: the stream keeps what was read."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from jobtrail.broker.channel import Channel, Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.inbox import MAX_WAITING_BYTES, Inbox
from jobtrail.broker.properties import ids, stream_offset
from jobtrail.models.errors import BrokerError
from jobtrail.models.position import fingerprint

FIRST, LAST = "first", "last"
_PEEK_PREFETCH = 5000
_CHUNK_S = 0.1
"""Seconds within which the broker hands out what it has written together."""
_PEEK_IDLE_S = 0.3
"""Seconds without a message after which the end of a stream is reached."""


@dataclass(slots=True, eq=False)
class Received:
    """One message of a stream."""

    offset: int
    delivery: Delivery
    received_ms: int
    """When it arrived, in milliseconds since 1970."""
    size_bytes: int
    """About how many bytes it takes in memory."""

    @property
    def fingerprint(self) -> bytes:
        """By what it is recognised at its offset."""
        return fingerprint(self.delivery.body, *ids(self.delivery.raw))


class StreamReader:
    """Hands out the messages of a stream, in order.

    `prefetch` is how many messages the broker hands out before the first of them is done.
    """

    def __init__(self, connection: Connection, stream: str, prefetch: int) -> None:
        self._connection = connection
        self._stream = stream
        self._prefetch = prefetch
        self._channel: Channel | None = None
        self._inbox: Inbox[Received] = Inbox(connection)
        self._latest: int | None = None
        self._broken: BrokerError | None = None

    async def attach(self, offset: int | str) -> None:
        """Begin to read at an offset, `FIRST` or `LAST`; anew if reading was begun before.

        Where the stream begins behind that offset, reading begins there; where it ends before it, with the next message
        that comes, whatever its offset. For some seconds after its start the broker refuses.
        """
        await self.detach()
        self._channel = channel = await self._connection.channel()
        channel.on_lost(self.wake)
        await channel.set_prefetch(self._prefetch)
        await channel.consume(self._stream, self._on_delivery, {"x-stream-offset": offset})

    async def detach(self) -> None:
        """Read no more, and forget what waits."""
        channel, self._channel = self._channel, None
        self._inbox.clear()  # which reads on: else the end of the channel would not be read
        if channel is not None:
            await channel.close()
        self._latest = self._broken = None

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been taken."""
        return not len(self._inbox)

    async def take(self, *, max_count: int, max_bytes: int, wait_s: float) -> Sequence[Received]:
        """Take what has come, in order: all of it, up to the bounds. Nothing waits for company.

        The first message is waited for `wait_s` seconds. A connection that is lost, a stream that was deleted, or whose
        offsets do not rise, is a `BrokerError`.
        """
        if self.is_empty:
            self._inbox.arrived.clear()
            self._raise_if_broken()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._inbox.arrived.wait()
        self._raise_if_broken()
        return self._inbox.take(max_count, max_bytes)

    def put_back(self, received: Received) -> None:
        """Hand a message out once more: the next `take` begins with it."""
        self._inbox.put_back(received)

    def wake(self) -> None:
        """End a wait in `take`."""
        self._inbox.arrived.set()

    def done(self, taken: Sequence[Received]) -> None:
        """Let the broker send as many more as were taken."""
        self._inbox.release(taken)
        if self._channel is not None:
            self._channel.acknowledge(taken[-1].delivery.tag)

    def _on_delivery(self, delivery: Delivery) -> None:
        offset = stream_offset(delivery.raw)
        if offset is None or (self._latest is not None and offset <= self._latest):
            words = f"RabbitMQ: {self._stream} continued at offset {offset} after {self._latest}"
            self._broken = self._broken or BrokerError(words)
            self.wake()
            return
        self._latest = offset
        self._inbox.put(Received(offset, delivery, time.time_ns() // 1_000_000, delivery.size_bytes))

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._channel is None:
            raise BrokerError("RabbitMQ: not attached")
        self._channel.raise_if_lost()


async def peek(connection: Connection, stream: str, offset: int | str, wait_s: float) -> Received | None:
    """Look at one message without reading on; None where none comes within `wait_s` seconds.

    The question gets a connection of its own, as the reader's may be paused. Offsets are those of `attach`.
    """
    async with connection.another() as own:
        reader = StreamReader(own, stream, 1)
        await reader.attach(offset)
        taken = await reader.take(max_count=1, max_bytes=1, wait_s=wait_s)
        return taken[0] if taken else None


async def last_offset(connection: Connection, stream: str, wait_s: float, enough: int) -> int | None:
    """Find out where a stream ends: its last offset, or `enough` or one behind it; None for an empty stream.

    Its last messages may take `wait_s` seconds to come.
    """
    last: int | None = None
    async with connection.another() as own:
        reader = StreamReader(own, stream, _PEEK_PREFETCH)
        await reader.attach(LAST)
        while last is None or last < enough:
            idle_s = wait_s if last is None else _PEEK_IDLE_S
            taken = await reader.take(max_count=_PEEK_PREFETCH, max_bytes=MAX_WAITING_BYTES, wait_s=idle_s)
            if not taken:
                break
            last = taken[-1].offset
            reader.done(taken)
        return last


async def end_by_now(connection: Connection, stream: str, wait_s: float) -> int | None:
    """Find an offset that is no less than the last one that a stream has by now, also while more comes.

    None for an empty stream; its last messages may take `wait_s` seconds to come.
    """
    loop = asyncio.get_running_loop()
    last: int | None = None
    async with connection.another() as own:
        reader = StreamReader(own, stream, _PEEK_PREFETCH)
        await reader.attach(LAST)
        until = loop.time() + wait_s
        while (left_s := until - loop.time()) > 0:
            taken = await reader.take(max_count=_PEEK_PREFETCH, max_bytes=MAX_WAITING_BYTES, wait_s=left_s)
            if taken:
                until = until if last is not None else loop.time() + _CHUNK_S
                last = taken[-1].offset
                reader.done(taken)
    return last

"""Reads one stream from an offset on. Acknowledgements are flow control: the stream keeps what was read."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from jobtrail.broker.channel import Channel, Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.inbox import MAX_WAITING_BYTES, size_of
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

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        return size_of(self.delivery)

    @property
    def fingerprint(self) -> bytes:
        """By what it is recognised at its offset."""
        return fingerprint(self.delivery.body, *ids(self.delivery.raw))


class StreamReader:
    """Hands out the messages of a stream, in order.

    Args:
        connection: An open connection; it is paused while too many bytes wait.
        stream: The stream.
        prefetch: Messages that the broker may hand out before the first of them is done.
    """

    def __init__(self, connection: Connection, stream: str, prefetch: int) -> None:
        self._connection = connection
        self._stream = stream
        self._prefetch = prefetch
        self._channel: Channel | None = None
        self._waiting: deque[Received] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._latest: int | None = None
        self._broken: BrokerError | None = None

    async def attach(self, offset: int | str) -> None:
        """Begin to read, anew if that was begun before.

        Args:
            offset: The first offset to read, `FIRST` or `LAST`. Where the stream begins behind that, reading begins
                there; where it ends before that, with the next message that comes, whatever its offset.

        Raises:
            BrokerError: The broker refuses, as it does for some seconds after it was started, or is lost.
        """
        await self.detach()
        self._channel = channel = await self._connection.channel()
        channel.on_lost(self._arrived.set)
        await channel.set_prefetch(self._prefetch)
        # What the broker still owes to a consumer of before must not come among what this one gets.
        await channel.consume(
            self._stream,
            lambda delivery: self._on_delivery(delivery) if self._channel is channel else None,
            {"x-stream-offset": offset},
        )

    async def detach(self) -> None:
        """Read no more, and forget what waits."""
        channel, self._channel = self._channel, None
        self._connection.resume()  # else the end of the channel would not be read
        if channel is not None:
            await channel.close()
        self._waiting.clear()
        self._waiting_bytes = 0
        self._latest = self._broken = None
        self._connection.resume()

    @property
    def is_empty(self) -> bool:
        """Whether everything that came has been taken."""
        return not self._waiting

    async def take(self, *, max_count: int, max_bytes: int, wait_s: float) -> Sequence[Received]:
        """Take what has come: all of it, up to the bounds. Nothing waits for company.

        Args:
            max_count: Messages at the most.
            max_bytes: Bytes at the most, one message excepted.
            wait_s: How long to wait for a first one.

        Returns:
            The messages in order; empty if none came in time.

        Raises:
            BrokerError: The connection is lost, the stream was deleted, or its offsets do not rise.
        """
        if not self._waiting:
            self._arrived.clear()
            self._raise_if_broken()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
        self._raise_if_broken()
        taken: list[Received] = []
        size_bytes = 0
        while self._waiting and len(taken) < max_count:
            size_bytes += self._waiting[0].size_bytes
            if taken and size_bytes > max_bytes:
                break
            taken.append(self._waiting.popleft())
        return taken

    def put_back(self, received: Received) -> None:
        """Hand a message out once more: the next `take` begins with it."""
        self._waiting.appendleft(received)

    def wake(self) -> None:
        """End a wait in `take`."""
        self._arrived.set()

    def done(self, taken: Sequence[Received]) -> None:
        """Let the broker send as many more.

        Args:
            taken: What `take` returned; it is of no use any more.

        Raises:
            BrokerError: The connection is lost.
        """
        self._waiting_bytes -= sum(received.size_bytes for received in taken)
        if self._waiting_bytes <= MAX_WAITING_BYTES // 2:
            self._connection.resume()
        if self._channel is not None:
            self._channel.acknowledge(taken[-1].delivery.tag)

    def _on_delivery(self, delivery: Delivery) -> None:
        offset = stream_offset(delivery.raw)
        if offset is None or (self._latest is not None and offset <= self._latest):
            words = f"RabbitMQ: {self._stream} went on at offset {offset} behind {self._latest}"
            self._broken = self._broken or BrokerError(words)
            self._arrived.set()
            return
        self._latest = offset
        received = Received(offset, delivery, time.time_ns() // 1_000_000)
        self._waiting.append(received)
        self._waiting_bytes += received.size_bytes
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._connection.pause()
        self._arrived.set()

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken
        if self._channel is None:
            raise BrokerError("RabbitMQ: not attached")
        self._channel.raise_if_lost()


async def peek(connection: Connection, stream: str, offset: int | str, wait_s: float) -> Received | None:
    """Look at one message without reading on.

    Args:
        connection: The reader's connection; the question gets one of its own, as this one may be paused.
        stream: The stream.
        offset: Where to look; see `StreamReader.attach`.
        wait_s: How long it may take to come.

    Returns:
        The message; None where there is none.

    Raises:
        BrokerError: The broker refuses or is lost.
    """
    async with connection.another() as own:
        reader = StreamReader(own, stream, 1)
        await reader.attach(offset)
        taken = await reader.take(max_count=1, max_bytes=1, wait_s=wait_s)
        return taken[0] if taken else None


async def last_offset(connection: Connection, stream: str, wait_s: float, enough: int) -> int | None:
    """Find out where a stream ends.

    Args:
        connection: As for `peek`.
        stream: The stream.
        wait_s: How long its last messages may take to come.
        enough: An offset behind which it need not be known any more.

    Returns:
        The last offset, or `enough` or one behind it; None for an empty stream.

    Raises:
        BrokerError: The broker refuses or is lost.
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

    Args:
        connection: As for `peek`.
        stream: The stream.
        wait_s: How long its last messages may take to come.

    Returns:
        The offset; None for an empty stream.

    Raises:
        BrokerError: The broker refuses or is lost.
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

"""A service's connection to RabbitMQ, on asyncio.

It is pika's; what pika answers by calling back is awaited here, with a deadline, and its errors come out as ours.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from pika.exceptions import AMQPError

from jobtrail.broker.address import CONNECT_TIMEOUT_S, connection_parameters
from jobtrail.broker.channel import Channel
from jobtrail.broker.errors import broker_failures, translated
from jobtrail.broker.frames import FrameReader, PausableLoop
from jobtrail.broker.watch import Watch
from jobtrail.models.errors import BrokerError, JobTrailError

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel as PikaChannel

_CLOSE_TIMEOUT_S = 3.0


class Connection:
    """One connection; a context manager that opens and closes it.

    The nodes of a cluster are tried in turn, beginning with `first_node`: who fails on a node that answers, such as one
    without a replica of a stream, begins with the next one. `name` is what the broker's management pages show.
    """

    def __init__(self, amqp_url: str, name: str, first_node: int = 0) -> None:
        self.url = amqp_url
        self._name = name
        self._first_node = first_node
        self._connection: FrameReader | None = None
        self._loop: PausableLoop | None = None
        self._waits: set[asyncio.Future[Any]] = set()
        self._channels: list[Channel] = []
        self._watch: Watch | None = None
        self._ended = asyncio.Event()
        self.error: BaseException | None = None
        """Why it was lost."""
        self.lost = asyncio.Event()
        """Set when the connection is gone, closed by us or not."""
        self.blocked = False
        """Whether the broker takes no messages for now: its memory or its disk is short."""

    async def __aenter__(self) -> Self:
        try:
            await self.open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect to the first node that takes us."""
        nodes = connection_parameters(self.url, self._name)
        first = self._first_node % len(nodes)
        nodes = [*nodes[first:], *nodes[:first]]
        for place, node in enumerate(nodes):
            try:
                with broker_failures(self.url):
                    await self._connect(node)
                return
            except BrokerError:
                await self.close()
                if place == len(nodes) - 1:
                    raise
                self.error = None
                self.lost.clear()

    @property
    def server(self) -> tuple[str, str]:
        """The broker's product and version, as it reports them; question marks while it is not connected."""
        known = (self._connection and self._connection.server_properties) or {}
        return str(known.get("product", "?")), str(known.get("version", "?"))

    async def channel(self) -> Channel:
        """Open a channel."""
        with broker_failures(self.url):
            connection = self._open_connection()
            opened = await self.ask(lambda answer: connection.channel(on_open_callback=answer))
        channel = Channel(self, cast("PikaChannel", opened))
        self._channels = [each for each in self._channels if not each.lost.is_set()] + [channel]
        return channel

    async def close(self) -> None:
        """Close the connection, in whatever state it is; what is unacknowledged goes back to its queue."""
        self.resume()
        if self._watch is not None:
            self._watch.stop()
        connection, self._connection = self._connection, None
        if connection is None or connection.is_closed:
            return
        with suppress(AMQPError):  # a connection that is being set up can't be closed politely
            if not connection.is_closing:
                connection.close()
        if self.error is None or connection.is_closing:
            with suppress(TimeoutError):  # a broker that does not even answer finds out by itself
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self._ended.wait()

    def another(self) -> "Connection":
        """Make a connection like this one, for questions whose answers can't wait behind what this one has to read."""
        return Connection(self.url, self._name, self._first_node)

    def pause(self) -> None:
        """Read nothing more from the broker for now; not for longer than its patience, which is some seconds."""
        if self._loop is not None and not self._loop.paused:
            self._loop.pause()

    def resume(self) -> None:
        """Read on."""
        if self._loop is not None and self._loop.paused:
            self._loop.resume()

    async def ask(
        self, start: Callable[[Callable[[Any], None]], object], timeout_s: float = CONNECT_TIMEOUT_S
    ) -> object:
        """Start what pika answers by calling back, and wait for the answer; used by channels."""
        if self.error is not None:
            raise self._lost_error()
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waits.add(answer)
        try:
            start(lambda value: None if answer.done() else answer.set_result(value))
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError as error:
            raise BrokerError(f"RabbitMQ did not answer within {timeout_s:g} s") from error
        finally:
            self._waits.discard(answer)

    def raise_if_lost(self) -> None:
        """Raise a `BrokerError` if the connection is lost."""
        if self.error is not None:
            raise self._lost_error()

    async def _connect(self, node: "pika.URLParameters") -> None:
        self._ended.clear()
        self._loop = pausable = PausableLoop(asyncio.get_running_loop())

        def connect(answer: Callable[[object], None]) -> None:
            self._connection = connection = FrameReader(
                node, answer, self._on_end, self._on_end, custom_ioloop=cast("asyncio.AbstractEventLoop", pausable)
            )
            connection.add_on_connection_blocked_callback(lambda *_: setattr(self, "blocked", True))
            connection.add_on_connection_unblocked_callback(lambda *_: setattr(self, "blocked", False))

        await self.ask(connect, CONNECT_TIMEOUT_S + 1)
        connection = self._open_connection()
        questions = cast("PikaChannel", await self.ask(lambda answer: connection.channel(on_open_callback=answer)))

        def look(answer: Callable[[object], None]) -> None:
            if questions.is_open:  # changes nothing, as nothing is consumed on this channel
                questions.basic_qos(prefetch_count=0, callback=answer)

        self._watch = Watch(
            look,
            call_later=asyncio.get_running_loop().call_later,
            received_bytes=lambda: connection.bytes_received,
            is_blocked=lambda: self.blocked,
            is_reading=lambda: not pausable.paused,
            on_silent=self._on_silent,
        )
        self._watch.note_answer()

    def _on_silent(self, silent_s: float) -> None:
        self._on_lost(BrokerError(f"RabbitMQ has not answered for {silent_s:g} s"))
        if self._connection is not None:
            self._connection.drop()

    def _open_connection(self) -> FrameReader:
        if self._connection is None or self.error is not None:
            raise self._lost_error()
        return self._connection

    def _lost_error(self) -> JobTrailError:
        return translated(self.error or OSError("not connected"), self.url)

    def _on_end(self, _connection: object, reason: BaseException) -> None:
        self._ended.set()
        self._on_lost(reason)

    def _on_lost(self, reason: BaseException) -> None:
        self.error = self.error or reason
        self.lost.set()
        if self._watch is not None:
            self._watch.stop()
        for wait in self._waits:
            if not wait.done():
                wait.set_exception(self._lost_error())
        for channel in self._channels:
            channel.end(reason)

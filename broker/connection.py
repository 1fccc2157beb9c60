"""A service's connection to RabbitMQ, on asyncio: channels, declarations, deliveries.

It is pika's; what pika answers by calling back is awaited here, with a deadline, and its errors come out as ours.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from pika.exceptions import AMQPError, ChannelClosedByBroker
from pika.spec import Basic

from broker.address import CONNECT_TIMEOUT_S, connection_parameters
from broker.errors import NOT_FOUND, PRECONDITION_FAILED, RESOURCE_LOCKED, broker_failures
from broker.frames import FrameReader, PausableLoop, RawProperties
from broker.watch import Watch
from models.errors import BrokerError, BusyError, NotFoundError

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel as PikaChannel

_CLOSE_TIMEOUT_S = 3.0
_CONSUMER_ENDED = "RabbitMQ ended the consumer; was its queue deleted?"
Arguments = Mapping[str, str | int | bool]
_NO_SUCH = "NOT_FOUND - no "


@dataclass(slots=True, eq=False)
class Delivery:
    """One message as the broker delivered it."""

    body: bytes
    raw: bytes
    """Its properties, headers included, untouched; see `broker.properties`."""
    tag: int
    redelivered: bool
    exchange: str
    routing_key: str


@dataclass(slots=True, frozen=True, kw_only=True)
class DeclaredQueue:
    """What the broker says of a queue."""

    name: str
    messages: int
    """Messages that are ready."""
    consumers: int


class Connection:
    """One connection; a context manager that opens and closes it.

    Args:
        amqp_url: The broker, or the nodes of its cluster, which are tried in turn.
        name: What the broker's management pages call the connection.
        first_node: Which node is tried first: who fails on one that answers, such as one without a replica of a stream,
            begins with the next one.
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
        """Connect to the first node that takes us.

        Raises:
            BrokerError: None can be reached, or the last one refuses.
            SettingError: The address is none.
        """
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
        """The broker's product and version, as it tells them; question marks while it is not connected."""
        told = (self._connection and self._connection.server_properties) or {}
        return str(told.get("product", "?")), str(told.get("version", "?"))

    async def channel(self) -> "Channel":
        """Open a channel.

        Raises:
            BrokerError: The connection is lost.
        """
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
        """Start what pika answers by calling back, and wait for that; used by channels.

        Raises:
            BrokerError: The connection is lost, or there is no answer in time.
        """
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
        """Tell of a loss.

        Raises:
            BrokerError: The connection is lost.
        """
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
        questions = await self.ask(lambda answer: connection.channel(on_open_callback=answer))
        self._watch = Watch(
            connection,
            cast("PikaChannel", questions),
            is_reading=lambda: not pausable.paused,
            is_blocked=lambda: self.blocked,
            on_silent=self._on_silent,
        )

    def _on_silent(self, silent_s: float) -> None:
        self._on_lost(BrokerError(f"RabbitMQ has not answered for {silent_s:g} s"))
        if self._connection is not None:
            self._connection.drop()

    def _open_connection(self) -> FrameReader:
        if self._connection is None or self.error is not None:
            raise self._lost_error()
        return self._connection

    def _lost_error(self) -> BrokerError:
        if isinstance(self.error, BrokerError):
            return BrokerError(str(self.error))
        try:
            with broker_failures(self.url):
                raise self.error or OSError("not connected")
        except BrokerError as error:
            return error

    def _on_end(self, _connection: object, reason: BaseException) -> None:
        self._ended.set()
        self._on_lost(reason)

    def _on_lost(self, reason: BaseException) -> None:
        self.error = self.error or reason
        self.lost.set()
        for wait in self._waits:
            if not wait.done():
                wait.set_exception(self._lost_error())
        for channel in self._channels:
            channel.end(reason)


class Channel:
    """One channel of a connection. An error that the broker tells closes it; the connection stays.

    Args:
        connection: The connection.
        channel: pika's channel, open.
    """

    def __init__(self, connection: Connection, channel: "PikaChannel") -> None:
        self.connection = connection
        self.raw = channel
        self._closed = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        """Set when the channel is gone, or the broker ended its consumer."""
        self._error: BaseException | None = None
        self._tell: Callable[[], None] = lambda: None
        channel.add_on_close_callback(lambda _channel, reason: self.end(reason))
        channel.add_on_cancel_callback(lambda _frame: self.end(BrokerError(_CONSUMER_ENDED)))

    async def declare_queue(
        self, queue: str, arguments: Arguments | None = None, *, passive: bool = False, exclusive: bool = False
    ) -> DeclaredQueue:
        """Declare a durable queue, or ask about one.

        Args:
            queue: Its name.
            arguments: The arguments it gets if it is made now.
            passive: Whether to ask only.
            exclusive: Whether it is this connection's alone, and goes with it.

        Raises:
            NotFoundError: It was only asked about, and there is none. This channel is closed then.
            BusyError: It is another connection's. This channel is closed then.
            BrokerError: The broker refuses, or the connection is lost.
        """
        frame: Any = await self.ask(
            lambda answer: self.raw.queue_declare(
                queue,
                passive=passive,
                durable=not exclusive,
                exclusive=exclusive,
                arguments=dict(arguments or {}),
                callback=answer,
            )
        )
        method = frame.method
        return DeclaredQueue(name=method.queue, messages=method.message_count, consumers=method.consumer_count)

    async def declare_exchange(self, exchange: str, kind: str, *, durable: bool = True) -> None:
        """Declare an exchange."""
        await self.ask(
            lambda answer: self.raw.exchange_declare(exchange, exchange_type=kind, durable=durable, callback=answer)
        )

    async def bind(self, queue: str, exchange: str, routing_key: str = "") -> None:
        """Bind a queue to an exchange."""
        await self.ask(lambda answer: self.raw.queue_bind(queue, exchange, routing_key, callback=answer))

    async def delete_queue(self, queue: str, *, if_unused: bool = False) -> None:
        """Delete a queue, if it is there."""
        await self.ask(lambda answer: self.raw.queue_delete(queue, if_unused=if_unused, callback=answer))

    async def delete_exchange(self, exchange: str) -> None:
        """Delete an exchange, if it is there."""
        await self.ask(lambda answer: self.raw.exchange_delete(exchange, callback=answer))

    async def purge(self, queue: str) -> None:
        """Throw away what waits in a queue."""
        await self.ask(lambda answer: self.raw.queue_purge(queue, callback=answer))

    async def set_prefetch(self, count: int) -> None:
        """Bound how many messages the broker hands out before they are acknowledged."""
        await self.ask(lambda answer: self.raw.basic_qos(prefetch_count=count, callback=answer))

    async def consume(
        self, queue: str, take: Callable[[Delivery], None], arguments: Mapping[str, object] | None = None
    ) -> str:
        """Begin to receive.

        Args:
            queue: The queue.
            take: Called for each message, in order.
            arguments: The consumer's arguments, such as `x-stream-offset`.

        Returns:
            The consumer's tag.
        """

        def on_message(_: object, method: Basic.Deliver, properties: "pika.BasicProperties", body: bytes) -> None:
            if self._error is None:  # a tag of a lost channel must not be acknowledged
                take(_delivery(method, cast("RawProperties", properties), body))

        frame: Any = await self.ask(
            lambda answer: self.raw.basic_consume(queue, on_message, arguments=dict(arguments or {}), callback=answer)
        )
        return str(frame.method.consumer_tag)

    async def cancel(self, consumer_tag: str) -> None:
        """Stop to receive; what was received can still be acknowledged."""
        await self.ask(lambda answer: self.raw.basic_cancel(consumer_tag, callback=answer))

    async def get(self, queue: str) -> Delivery | None:
        """Take one message, if one waits."""

        def start(answer: Callable[[object], None]) -> None:
            self.raw.add_callback(lambda _frame: answer(None), [Basic.GetEmpty], one_shot=True)
            self.raw.basic_get(queue, lambda _channel, *message: answer(message))

        message: Any = await self.ask(start)
        return None if message is None else _delivery(*message)

    def acknowledge(self, tag: int, *, multiple: bool = True) -> None:
        """Acknowledge a delivery, or all up to it.

        Raises:
            BrokerError: The channel is lost.
        """
        self.raise_if_lost()
        with broker_failures(self.connection.url):
            self.raw.basic_ack(tag, multiple=multiple)

    async def close(self) -> None:
        """Close the channel, if it is open; what is unacknowledged goes back to its queue."""
        if not self.raw.is_open:
            return
        with suppress(BrokerError):
            self.raw.close()
            await asyncio.wait((self._closed,), timeout=_CLOSE_TIMEOUT_S)

    def raise_if_lost(self) -> None:
        """Tell of a loss.

        Raises:
            BrokerError: The channel or its connection is lost, or the broker ended the consumer.
        """
        self.connection.raise_if_lost()
        if self._error is not None:
            raise _translated(self._error, self.connection.url)

    async def ask(
        self, start: Callable[[Callable[[Any], None]], object], timeout_s: float = CONNECT_TIMEOUT_S
    ) -> object:
        """Start what pika answers by calling back, and wait for that.

        Raises:
            NotFoundError: The broker has no such queue or exchange.
            BusyError: It is another connection's.
            BrokerError: The broker refuses, does not answer in time, or the connection is lost.
        """
        self.raise_if_lost()
        with broker_failures(self.connection.url):
            asked = asyncio.ensure_future(self.connection.ask(start, timeout_s))
            try:
                await asyncio.wait((asked, self._closed), return_when=asyncio.FIRST_COMPLETED)
                if asked.done():
                    return asked.result()
            finally:
                asked.cancel()
        self.raise_if_lost()
        raise BrokerError("RabbitMQ: the channel was closed")

    def on_lost(self, tell: Callable[[], None]) -> None:
        """Let somebody know as soon as `lost` is set."""
        self._tell = tell

    def end(self, reason: BaseException) -> None:
        """Take note that the channel is of no use any more, and why; used by its connection."""
        self._error = self._error or reason
        self.lost.set()
        if not self._closed.done():
            self._closed.set_result(None)
        self._tell()


def _delivery(method: Any, properties: RawProperties, body: bytes) -> Delivery:
    return Delivery(
        body, properties.raw, method.delivery_tag, method.redelivered, _text(method.exchange), _text(method.routing_key)
    )


def _text(name: str | bytes) -> str:
    """A name that is not UTF-8 is left as bytes by pika."""
    return name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")


def _translated(error: BaseException, amqp_url: str) -> Exception:
    if isinstance(error, BrokerError):
        return BrokerError(str(error))
    code = error.reply_code if isinstance(error, ChannelClosedByBroker) else None
    words = error.reply_text if isinstance(error, ChannelClosedByBroker) else ""
    if code == NOT_FOUND and _NO_SUCH in _text(words):  # one whose node is still coming back is told by 404 too
        return NotFoundError(_text(words))
    if code == RESOURCE_LOCKED:
        return BusyError(_text(words))
    try:
        with broker_failures(amqp_url):
            raise error
    except BrokerError as translated:
        return translated


async def declare_as_it_is(connection: Connection, queue: str, arguments: Arguments) -> DeclaredQueue:
    """Declare a durable queue; one that exists with other arguments is used as it is.

    Args:
        connection: An open connection.
        queue: The queue.
        arguments: The arguments it gets if it is made now.

    Raises:
        BrokerError: The broker refuses it.
    """
    channel = await connection.channel()
    try:
        return await channel.declare_queue(queue, arguments)
    except BrokerError as error:
        refused = error.__cause__
        if not (isinstance(refused, ChannelClosedByBroker) and refused.reply_code == PRECONDITION_FAILED):
            raise
    finally:
        await channel.close()
    channel = await connection.channel()
    try:
        return await channel.declare_queue(queue, passive=True)
    finally:
        await channel.close()


async def lock(connection: Connection, name: str, taken: str) -> None:
    """Take a right that one connection at a time may have; it ends with the connection, on the broker's side.

    So whoever has the right knows that no predecessor, however slow, still speaks to the broker. An exclusive queue is
    what the broker offers for that.

    Args:
        connection: An open connection.
        name: The right.
        taken: What to say where another connection has it.

    Raises:
        BusyError: Another connection has it.
        BrokerError: The broker refuses something else.
    """
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, exclusive=True)
    except BusyError as error:
        raise BusyError(taken) from error

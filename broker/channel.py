"""Channels: declarations, and what the broker delivers."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from pika.spec import Basic

from jobtrail.broker.address import CONNECT_TIMEOUT_S
from jobtrail.broker.errors import broker_failures, readable, translated
from jobtrail.broker.frames import RawProperties
from jobtrail.models.errors import BrokerError

if TYPE_CHECKING:
    import pika
    from pika.channel import Channel as PikaChannel

    from jobtrail.broker.connection import Connection

_CLOSE_TIMEOUT_S = 3.0
_CONSUMER_ENDED = "RabbitMQ ended the consumer; was its queue deleted?"
Arguments = Mapping[str, str | int | bool]


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

    @property
    def size_bytes(self) -> int:
        """About how many bytes it takes in memory."""
        return len(self.body) + len(self.raw)


@dataclass(slots=True, frozen=True, kw_only=True)
class DeclaredQueue:
    """What the broker says of a queue."""

    name: str
    messages: int
    """Messages that are ready."""
    consumers: int


class Channel:
    """One channel of a connection. An error that the broker reports closes it; the connection stays."""

    def __init__(self, connection: "Connection", channel: "PikaChannel") -> None:
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
        """Declare a durable queue with these arguments, or ask about one (`passive`).

        An `exclusive` one is this connection's alone, and goes with it. A queue that does not exist is a
        `NotFoundError`, one that is another connection's a `BusyError`; either closes this channel.
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
        """Begin to receive: `take` is called for each message, in order. Return the consumer's tag."""

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
        """Acknowledge a delivery, or all up to it."""
        self.raise_if_lost()
        with broker_failures(self.connection.url):
            self.raw.basic_ack(tag, multiple=multiple)

    async def close(self) -> None:
        """Close the channel, if it is open; nothing more comes, and what is unacknowledged goes back to its queue."""
        self._error = self._error or BrokerError("RabbitMQ: the channel was closed")
        if not self.raw.is_open:
            return
        with suppress(BrokerError):
            self.raw.close()
            await asyncio.wait((self._closed,), timeout=_CLOSE_TIMEOUT_S)

    def raise_if_lost(self) -> None:
        """Raise an error if the channel or its connection is lost, or the broker ended the consumer."""
        if self._error is not None:
            raise translated(self._error, self.connection.url)

    async def ask(
        self, start: Callable[[Callable[[Any], None]], object], timeout_s: float = CONNECT_TIMEOUT_S
    ) -> object:
        """Start what pika answers by calling back, and wait for the answer; errors are those of `translated`."""
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
        """Have `tell` called as soon as `lost` is set."""
        self._tell = tell

    def end(self, reason: BaseException) -> None:
        """Take note that the channel is of no use any more, and why; used by its connection."""
        self._error = self._error or reason
        self.lost.set()
        if not self._closed.done():
            self._closed.set_result(None)
        self._tell()


def _delivery(method: Any, properties: RawProperties, body: bytes) -> Delivery:
    exchange, routing_key = readable(method.exchange), readable(method.routing_key)
    return Delivery(body, properties.raw, method.delivery_tag, method.redelivered, exchange, routing_key)

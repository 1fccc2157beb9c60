"""Sends many messages at once over a connection of its own, and waits for their confirms together.

It is pika's connection for asyncio that does it: where a driver has a task for each message that waits for its confirm,
as aiormq has, sending takes eight times the processor time.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

import pika
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import ChannelClosedByBroker
from pika.spec import Basic

from models.errors import BrokerError, BusyError
from publisher.connection import CONNECT_TIMEOUT_S, RESOURCE_LOCKED, broker_failures, connection_parameters

if TYPE_CHECKING:
    from pika.channel import Channel
    from pika.frame import Method

T = TypeVar("T")


@dataclass(slots=True, frozen=True, kw_only=True)
class Message:
    """A message that is ready to be sent."""

    exchange: str = ""
    routing_key: str
    body: bytes
    properties: bytes
    """Their flags and values on the wire; see `publisher.content_header`."""
    mandatory: bool = True
    """Whether a queue must take it."""


class BulkSender:
    """Sends messages with publisher confirms. One call at a time.

    Args:
        amqp_url: The broker.
        name: What the broker's management pages call the connection.
    """

    def __init__(self, amqp_url: str, name: str) -> None:
        self._url = amqp_url
        self._name = name
        self._connection: AsyncioConnection | None = None
        self._channel: Channel | None = None
        self._answer: asyncio.Future[object] | None = None
        self._lost: BaseException | None = None
        self._ended = asyncio.Event()
        self._latest_tag = 0
        self._unconfirmed: deque[int] = deque()
        self._refused: set[int] = set()
        self._returned = 0

    async def open(self) -> None:
        """Connect.

        Raises:
            BrokerError: The broker can't be reached or refuses.
            SettingError: The URL is none.
        """
        parameters = connection_parameters(self._url, self._name)

        def connect(answer: Callable[[object], None]) -> None:
            self._connection = AsyncioConnection(parameters, answer, self._on_end, self._on_end)

        with broker_failures(self._url):
            await self._ask(connect, CONNECT_TIMEOUT_S)
            self._channel = channel = await self._open_channel()
            channel.add_on_return_callback(self._on_return)
            await self._ask(
                lambda answer: channel.confirm_delivery(self._on_confirm, callback=answer), CONNECT_TIMEOUT_S
            )

    async def lock(self, name: str, taken: str) -> None:
        """Take a right that one connection at a time may have; see `publisher.amqp.lock`.

        Args:
            name: The right.
            taken: What to say where another connection has it.

        Raises:
            BusyError: Another connection has it. This one is of no use any more then.
            BrokerError: The broker refuses something else, or the connection is lost.
        """
        with broker_failures(self._url):
            channel = await self._open_channel()
            try:
                await self._ask(
                    lambda answer: channel.queue_declare(name, exclusive=True, callback=answer), CONNECT_TIMEOUT_S
                )
            except ChannelClosedByBroker as error:
                if error.reply_code == RESOURCE_LOCKED:
                    raise BusyError(taken) from error
                raise

    async def send(self, messages: Sequence[Message], timeout_s: float) -> set[int]:
        """Send messages, and wait until the broker has confirmed or refused each.

        Args:
            messages: The messages.
            timeout_s: How long that may take.

        Returns:
            The places of those that were refused.

        Raises:
            BrokerError: One was neither confirmed nor refused, or returned: no queue took it.
        """
        if not messages:
            return set()
        first = self._latest_tag + 1
        returned = self._returned

        def publish(_answer: Callable[[object], None]) -> None:
            channel = _opened(self._channel)
            self._refused.clear()
            for message in messages:
                self._latest_tag += 1
                self._unconfirmed.append(self._latest_tag)
                channel.basic_publish(
                    message.exchange, message.routing_key, message.body, _Raw(message.properties), message.mandatory
                )

        with broker_failures(self._url):
            await self._ask(publish, timeout_s)
        if self._returned != returned:
            raise BrokerError("RabbitMQ: the queue that a message was to go to is gone")
        return {tag - first for tag in self._refused}

    async def purge(self, queue: str) -> None:
        """Throw away what waits in a queue.

        Args:
            queue: The queue.

        Raises:
            BrokerError: The connection is lost, or there is no such queue; then this connection is of no use any more.
        """
        with broker_failures(self._url):
            channel = _opened(self._channel)
            await self._ask(lambda answer: channel.queue_purge(queue, callback=answer), CONNECT_TIMEOUT_S)

    async def remove(self, *, exchange: str, queue: str) -> None:
        """Remove an exchange and a queue, if they are there.

        Args:
            exchange: The exchange.
            queue: The queue, with what waits in it.

        Raises:
            BrokerError: The connection is lost.
        """
        with broker_failures(self._url):
            channel = _opened(self._channel)
            await self._ask(lambda answer: channel.exchange_delete(exchange, callback=answer), CONNECT_TIMEOUT_S)
            await self._ask(lambda answer: channel.queue_delete(queue, callback=answer), CONNECT_TIMEOUT_S)

    async def close(self) -> None:
        """Close the connection, in whatever state it is."""
        connection = self._connection
        if connection is None or connection.is_closed:
            return
        if not connection.is_closing:
            connection.close()
        with suppress(TimeoutError):  # a broker that does not even answer finds out by itself
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ended.wait()

    async def _open_channel(self) -> "Channel":
        connection = _opened(self._connection)
        channel = cast(
            "Channel",
            await self._ask(lambda answer: connection.channel(on_open_callback=answer), CONNECT_TIMEOUT_S),
        )
        channel.add_on_close_callback(self._on_lost)
        return channel

    async def _ask(self, start: Callable[[Callable[[object], None]], object], timeout_s: float) -> object:
        """Start what pika answers by calling back, and wait for that."""
        if self._lost is not None:
            raise self._lost
        self._answer = asyncio.get_running_loop().create_future()
        async with asyncio.timeout(timeout_s):
            start(self._on_answer)
            return await self._answer

    def _on_answer(self, answer: object) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _on_lost(self, _what: object, reason: BaseException) -> None:
        self._lost = self._lost or reason
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(reason)

    def _on_end(self, connection: object, reason: BaseException) -> None:
        self._ended.set()
        self._on_lost(connection, reason)

    def _on_return(self, *_message: object) -> None:
        self._returned += 1  # it is confirmed too, right after

    def _on_confirm(self, frame: "Method[Basic.Ack | Basic.Nack]") -> None:
        method, waiting = frame.method, self._unconfirmed
        if method.multiple:
            while waiting and waiting[0] <= method.delivery_tag:
                self._note(waiting.popleft(), method)
        else:
            waiting.remove(method.delivery_tag)
            self._note(method.delivery_tag, method)
        if not waiting:
            self._on_answer(None)

    def _note(self, tag: int, method: Basic.Ack | Basic.Nack) -> None:
        if isinstance(method, Basic.Nack):
            self._refused.add(tag)


class _Raw(pika.BasicProperties):
    """Properties that are sent as these bytes."""

    def __init__(self, raw: bytes) -> None:
        super().__init__()
        self._raw = raw

    def encode(self) -> list[bytes]:
        """Return the bytes."""
        return [self._raw]


def _opened(what: T | None) -> T:
    if what is None:
        raise RuntimeError("not connected")
    return what

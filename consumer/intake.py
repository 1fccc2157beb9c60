"""The consuming side of RabbitMQ: one connection that takes messages from one queue, and reads no more than it may."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from consumer.backpressure import Gate, GatedTransport
from heartbeat.pause import pause
from models.errors import BrokerError
from publisher.amqp import CONNECT_TIMEOUT_S, broker_errors, closed, connection_to
from publisher.content_header import decode
from publisher.raw_transport import RawTransport

Declare = Callable[[aiormq.Connection], Awaitable[None]]
"""Sees to it that what is needed on the broker is there."""

MAX_WAITING_BYTES = 16 * 1024 * 1024
FRAME_BUFFER = 20
"""Frames that the driver reads ahead of its channel; a message has three. With its own 10 it stops and goes twice as
often. With many more it reads all that it may at once, and has nothing left to do while the database works."""


@dataclass(slots=True, eq=False)
class Received:
    """One message as the broker delivered it."""

    message: DeliveredMessage
    body: bytes
    """Untouched."""
    raw: bytes
    """Its properties, headers included, untouched."""
    properties: Basic.Properties
    """What they mean."""
    tag: int
    redelivered: bool
    received_ms: int
    """When it arrived, in milliseconds since 1970."""


class Intake:
    """Takes messages from one queue.

    Args:
        amqp_url: The broker.
        queue: The queue.
        purpose: What it takes them for, for the broker's management pages.
        declare: Called once connected, before it begins to consume.
        prefetch: Unacknowledged messages the broker may hand out.
    """

    def __init__(self, amqp_url: str, queue: str, *, purpose: str, declare: Declare, prefetch: int) -> None:
        self._url = amqp_url
        self._queue = queue
        self._purpose = purpose
        self._declare = declare
        self._prefetch = prefetch
        self._gate = Gate(MAX_WAITING_BYTES)
        self._transport = RawTransport(GatedTransport(self._gate))
        self._waiting: deque[Received] = deque()
        self._arrived = asyncio.Event()
        self._connection: aiormq.Connection | None = None
        self._cancelled = False

    async def open(self) -> None:
        """Connect and begin to consume.

        Raises:
            BrokerError: The broker can't be reached or refuses.
            SettingError: The URL is none.
        """
        connection = connection_to(self._url, self._transport)
        with broker_errors():
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._connection = connection
                await connection.connect({"connection_name": f"jobtrail {self._purpose} of {self._queue}"})
                await self._declare(connection)
                self._channel = await connection.channel(publisher_confirms=False, frame_buffer_size=FRAME_BUFFER)
                await self._channel.basic_qos(prefetch_count=self._prefetch)
                self._channel.closing.add_done_callback(lambda _closed: self._arrived.set())
                self._channel.on_consumer_cancel_callbacks.add(self._on_cancel)
                await self._channel.basic_consume(self._queue, self._on_message)

    async def close(self) -> None:
        """Close the connection; what is unacknowledged goes back to the queue.

        Raises:
            BrokerError: It was lost already.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            await closed(connection)

    async def take(self, *, max_count: int, max_bytes: int, wait_s: float, idle_s: float) -> list[Received]:
        """Take the messages that wait.

        Args:
            max_count: Messages at the most.
            max_bytes: Bytes at the most, one message excepted.
            wait_s: How long the first message waits for company, from its arrival.
            idle_s: How long to wait for the first one.

        Returns:
            The messages in order; empty if none came in time.

        Raises:
            BrokerError: The connection is lost and nothing waits any more that could be acknowledged.
        """
        if not self._waiting:
            self._arrived.clear()
            self._raise_if_closed()
            await pause(idle_s, self._arrived)
        self._raise_if_closed()
        if 0 < len(self._waiting) < max_count:
            waited_s = (_now_ms() - self._waiting[0].received_ms) / 1000
            if waited_s < wait_s:
                await asyncio.sleep(wait_s - max(0.0, waited_s))
        taken: list[Received] = []
        size_bytes = 0
        while self._waiting and len(taken) < max_count:
            size_bytes += len(self._waiting[0].body)
            if taken and size_bytes > max_bytes:
                break
            taken.append(self._waiting.popleft())
        return taken

    def done(self, taken: Sequence[Received]) -> None:
        """Take note that these messages need no more memory, so that more may be read.

        Args:
            taken: What `take` returned.
        """
        self._gate.remove(sum(len(received.body) for received in taken))

    @property
    def congested(self) -> bool:
        """Whether nothing is read just now because too many bytes wait; no answer of the broker arrives then either."""
        return not self._gate.open.is_set()

    async def acknowledge(self, tag: int) -> None:
        """Acknowledge all deliveries up to a tag.

        Raises:
            BrokerError: The connection is lost.
        """
        with broker_errors():
            await self._channel.basic_ack(tag, multiple=True, wait=False)

    async def wait_acknowledged(self) -> None:
        """Wait until the broker has taken the acknowledgements sent so far: it answers in order.

        Raises:
            BrokerError: The connection is lost.
        """
        with broker_errors():
            await self._channel.basic_qos(prefetch_count=self._prefetch, timeout=CONNECT_TIMEOUT_S)

    async def _on_message(self, message: DeliveredMessage) -> None:
        body, delivery = message.body, cast("Basic.Deliver", message.delivery)
        tag = cast("int", delivery.delivery_tag)
        raw = self._transport.properties_of(message)
        received = Received(message, body, raw, decode(raw), tag, bool(delivery.redelivered), _now_ms())
        self._waiting.append(received)
        self._gate.add(len(body))
        self._arrived.set()

    def _on_cancel(self, _cancel: Basic.Cancel) -> None:
        self._cancelled = True
        self._arrived.set()

    def _raise_if_closed(self) -> None:
        if self._channel.is_closed:
            raise BrokerError("RabbitMQ: the connection or the channel was closed")
        if self._cancelled:
            raise BrokerError(f"RabbitMQ: the broker ended the consumer of {self._queue}; was the queue deleted?")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

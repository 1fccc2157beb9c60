"""The consumer's side of RabbitMQ: one connection that consumes, one that publishes dead letters.

They are two because backpressure stops the first one from reading, and confirms must be read all the same.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import aiormq
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from consumer.backpressure import Gate, GatedTransport
from models.errors import BrokerError, SettingError
from models.topology import dead_letter_queue_arguments, reply_queue_arguments
from publisher.amqp import broker_errors, declare_queue

MAX_WAITING_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT_S = 15.0


@dataclass(slots=True, eq=False)
class Received:
    """One message as the broker delivered it."""

    message: DeliveredMessage
    body: bytes
    """Untouched."""
    properties: Basic.Properties
    tag: int
    redelivered: bool
    received_ms: int
    """When it arrived, in milliseconds since 1970."""


class Intake:
    """Takes messages from one reply queue.

    Args:
        amqp_url: The broker.
        queue: The reply queue; declared if it is missing, taken as it is if it exists.
        dead_letter_queue: Where dead letters go; likewise.
        prefetch: Unacknowledged messages the broker may hand out.
    """

    def __init__(self, amqp_url: str, queue: str, dead_letter_queue: str, *, prefetch: int) -> None:
        self._url = amqp_url
        self._queue = queue
        self._dead_letter_queue = dead_letter_queue
        self._prefetch = prefetch
        self._gate = Gate(MAX_WAITING_BYTES)
        self._waiting: deque[Received] = deque()
        self._arrived = asyncio.Event()
        self._connections: list[aiormq.Connection] = []
        self._cancelled = False

    async def open(self) -> None:
        """Connect, declare the queues and begin to consume.

        Raises:
            BrokerError: The broker can't be reached or refuses.
            SettingError: The URL is none.
        """
        try:
            consuming = aiormq.Connection(self._url, transport_factory=GatedTransport(self._gate))
            publishing = aiormq.Connection(self._url)
        except (ValueError, TypeError) as error:
            raise SettingError(
                "JOBTRAIL_AMQP_URL is no URL; it should be amqp://user:password@host:5672/vhost"
            ) from error
        with broker_errors():
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                for connection, purpose in ((consuming, "consumer"), (publishing, "dead letters")):
                    self._connections.append(connection)
                    await connection.connect({"connection_name": f"jobtrail {purpose} of {self._queue}"})
                await declare_queue(publishing, self._dead_letter_queue, dead_letter_queue_arguments())
                await declare_queue(publishing, self._queue, reply_queue_arguments(self._dead_letter_queue))
                self._letters = await publishing.channel()
                self._channel = await consuming.channel(publisher_confirms=False)
                await self._channel.basic_qos(prefetch_count=self._prefetch)
                self._channel.closing.add_done_callback(lambda _closed: self._arrived.set())
                self._channel.on_consumer_cancel_callbacks.add(self._on_cancel)
                await self._channel.basic_consume(self._queue, self._on_message)

    async def close(self) -> None:
        """Close the connection; what is unacknowledged goes back to the queue."""
        while self._connections:
            with broker_errors():
                await self._connections.pop().close()

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
            try:
                await asyncio.wait_for(self._arrived.wait(), idle_s)
            except TimeoutError:
                return []
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

    async def dead_letter(self, received: Received, headers: Mapping[str, Any], *, fallback_id: str) -> None:
        """Put a message into the dead-letter queue, bytes and properties untouched, and wait for the confirm.

        Args:
            received: The message.
            headers: The headers that say why.
            fallback_id: Its message id there, if it has none of its own; the same for the same message.

        Raises:
            BrokerError: The broker did not confirm.
        """
        properties = copy(received.properties)
        properties.headers = dict(headers)
        properties.delivery_mode = 2
        properties.expiration = None  # a letter that expires would be lost
        properties.message_id = properties.message_id or fallback_id
        with broker_errors():
            await self._letters.basic_publish(
                received.body,
                routing_key=self._dead_letter_queue,
                properties=properties,
                mandatory=True,
                timeout=CONNECT_TIMEOUT_S,
            )

    async def _on_message(self, message: DeliveredMessage) -> None:
        body, delivery = message.body, cast("Basic.Deliver", message.delivery)
        tag = cast("int", delivery.delivery_tag)
        received = Received(message, body, message.header.properties, tag, bool(delivery.redelivered), _now_ms())
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

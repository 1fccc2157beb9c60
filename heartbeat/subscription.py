"""The monitor's side of RabbitMQ: its queue on the `extractors` exchange, acknowledgements, dead letters.

Uses aiormq, the layer beneath aio-pika: one object less per message.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

from heartbeat.inbox import Delivery, Reject
from models.dead_letter import dead_letter_headers
from models.settings import Settings
from models.topology import HEARTBEAT_EXCHANGE, dead_letter_queue_arguments, heartbeat_queue_arguments
from publisher.amqp import broker_errors, connection_to, declare_queue
from publisher.content_header import Verbatim, letter_properties
from publisher.raw_transport import RawTransport

MAX_WAITING = 20_000
"""Heartbeats that wait in the queue at the most: two of each instance of a large fleet."""
CONNECT_TIMEOUT_S = 10.0
OPERATION_TIMEOUT_S = 20.0


class Subscription:
    """An open connection that hands out heartbeats. Use `subscribed`."""

    def __init__(
        self, transport: RawTransport, channel: AbstractChannel, publisher: AbstractChannel, settings: Settings
    ) -> None:
        self._transport = transport
        self._channel = channel
        self._publisher = publisher
        self._settings = settings
        self._consumer_tag: str | None = None
        self.lost = asyncio.Event()
        """Set when the connection, the channel or the consumer is gone."""
        for each in (channel, publisher):
            each.closing.add_done_callback(lambda _: self.lost.set())
        channel.on_consumer_cancel_callbacks.add(lambda _: self.lost.set())

    async def consume(self, take: Callable[[Delivery], None]) -> None:
        """Begin to receive.

        Args:
            take: Called for each delivery, in order.
        """

        async def on_message(message: DeliveredMessage) -> None:
            if not self.lost.is_set():  # a tag of a lost channel must not be acknowledged on the next one
                take(_delivery(message, self._transport.properties_of(message)))

        with broker_errors():
            result = await self._channel.basic_consume(self._settings.heartbeat_queue, on_message)
            self._consumer_tag = result.consumer_tag

    async def cancel(self) -> None:
        """Stop to receive; what was received can still be acknowledged.

        Raises:
            BrokerError: The connection is lost.
        """
        if self._consumer_tag is not None:
            with broker_errors():
                await self._channel.basic_cancel(self._consumer_tag, timeout=OPERATION_TIMEOUT_S)

    async def acknowledge(self, last_tag: int) -> None:
        """Acknowledge all deliveries up to this one.

        Raises:
            BrokerError: The connection is lost; the broker hands them out again.
        """
        if last_tag and not self.lost.is_set():
            with broker_errors():
                await self._channel.basic_ack(last_tag, multiple=True)

    async def dead_letter(self, rejects: Iterable[Reject]) -> None:
        """Move messages to the dead-letter queue, and wait until the broker has confirmed each.

        Raises:
            BrokerError: The connection is lost, or the broker did not take one.
        """
        with broker_errors(), self._transport.none_returned():
            await asyncio.gather(*(self._publish(reject) for reject in rejects))

    async def _publish(self, reject: Reject) -> None:
        delivery = reject.delivery
        headers = dead_letter_headers(
            reason=reject.reason,
            error=reject.error,
            queue=self._settings.heartbeat_queue,
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            received_at=delivery.received_at,
        )
        await self._publisher.basic_publish(
            delivery.body,
            routing_key=self._settings.dead_letter_queue,
            properties=Verbatim(letter_properties(delivery.properties, headers)),
            mandatory=True,
            timeout=OPERATION_TIMEOUT_S,
        )


@asynccontextmanager
async def subscribed(settings: Settings) -> AsyncIterator[Subscription]:
    """Connect, declare what is needed, and close it all at the end.

    Args:
        settings: The broker, the queues and how old a heartbeat may get.

    Raises:
        BrokerError: RabbitMQ can't be reached, or refuses a queue.
        SettingError: The URL is missing or no URL.
    """
    transport = RawTransport()
    connection = connection_to(settings.require_amqp_url(), transport)
    with broker_errors():
        await asyncio.wait_for(connection.connect(), CONNECT_TIMEOUT_S)
    try:
        with broker_errors():
            await _declare(connection, settings)
            channel = await connection.channel()
            await channel.basic_qos(prefetch_count=settings.prefetch)
            publisher = await connection.channel(publisher_confirms=True)
        yield Subscription(transport, channel, publisher, settings)
    finally:
        # What was to be acknowledged is; a connection that does not even close is dropped.
        with suppress(aiormq.AMQPError, OSError, TimeoutError, RuntimeError):
            await connection.close(timeout=CONNECT_TIMEOUT_S)


async def _declare(connection: AbstractConnection, settings: Settings) -> None:
    """Declare exchange and queues; the heartbeat queue anew where the settings that shape it have changed."""
    channel = await connection.channel()
    await channel.exchange_declare(HEARTBEAT_EXCHANGE, exchange_type="fanout", durable=True)
    await declare_queue(connection, settings.dead_letter_queue, dead_letter_queue_arguments())
    arguments = heartbeat_queue_arguments(int(2000 * settings.instance_timeout_s), MAX_WAITING)
    try:
        await channel.queue_declare(settings.heartbeat_queue, durable=True, arguments={**arguments})
    except aiormq.ChannelPreconditionFailed:
        channel = await connection.channel()
        # Heartbeats are soon sent again, so the queue may go; but not under another monitor that still reads it.
        await channel.queue_delete(settings.heartbeat_queue, if_unused=True)
        await channel.queue_declare(settings.heartbeat_queue, durable=True, arguments={**arguments})
    await channel.queue_bind(settings.heartbeat_queue, HEARTBEAT_EXCHANGE)
    await channel.close()


def _delivery(message: DeliveredMessage, properties: bytes) -> Delivery:
    return Delivery(
        tag=message.delivery_tag or 0,
        body=message.body,
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        received_at=datetime.now(UTC),
        redelivered=bool(message.redelivered),
        properties=properties,
    )

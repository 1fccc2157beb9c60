"""The monitor's side of RabbitMQ: its queue on the `extractors` exchange, deliveries, acknowledgements."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from jobtrail.broker.channel import Channel, Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.errors import is_precondition_failure
from jobtrail.models.errors import BrokerError
from jobtrail.models.settings import Settings
from jobtrail.models.topology import HEARTBEAT_EXCHANGE, heartbeat_queue_arguments
from jobtrail.runtime.sleep import sleep_until

_GATHER_S = 0.01
MAX_WAITING = 20_000
"""Heartbeats that wait in the queue at most: two of each instance of a large fleet."""


class HeartbeatSubscription:
    """An open connection that hands out heartbeats. Use `subscribed`."""

    def __init__(self, channel: Channel, queue: str) -> None:
        self._channel = channel
        self._queue = queue
        self._consumer_tag = ""
        self._ended = False
        self._is_held = False
        self._is_gathering = False

    def pause(self) -> None:
        """Read nothing more until `resume`."""
        self._is_held = True
        self._channel.connection.pause()

    def resume(self) -> None:
        """Read on."""
        self._is_held = False
        if not self._is_gathering:
            self._channel.connection.resume()

    def gather(self) -> None:
        """Let some heartbeats come together before more are read: waking up for each would cost more than all else."""
        if not self._is_gathering:
            self._is_gathering = True
            self._channel.connection.pause()
            asyncio.get_running_loop().call_later(_GATHER_S, self._read_on)

    def _read_on(self) -> None:
        self._is_gathering = False
        if not self._is_held:
            self._channel.connection.resume()

    async def wait(self, timeout_s: float, *until: asyncio.Event) -> None:
        """Wait for some time, but no longer than until one of these events, or until the subscription is lost."""
        await sleep_until(timeout_s, self._channel.lost, *until)

    async def consume(self, take: Callable[[Delivery], None]) -> None:
        """Begin to receive: `take` is called for each delivery, in order."""

        def take_while_open(delivery: Delivery) -> None:
            if not self._ended:  # a tag of this channel must not be acknowledged on the next one
                take(delivery)

        self._consumer_tag = await self._channel.consume(self._queue, take_while_open)

    async def cancel(self) -> None:
        """Stop receiving; what was received can still be acknowledged."""
        await self._channel.cancel(self._consumer_tag)

    def end(self) -> None:
        """Hand out nothing more, whatever still comes."""
        self._ended = True

    def acknowledge(self, last_tag: int) -> None:
        """Acknowledge all deliveries up to this one, if any."""
        if last_tag:
            self._channel.acknowledge(last_tag)

    def raise_if_lost(self) -> None:
        """Raise a `BrokerError` if the connection, the channel or the consumer is lost."""
        self._channel.raise_if_lost()


@asynccontextmanager
async def subscribed(settings: Settings) -> AsyncIterator[HeartbeatSubscription]:
    """Connect, declare what is needed, and close it all at the end."""
    async with Connection(settings.require_amqp_url(), "jobtrail monitor") as connection:
        await _declare(connection, settings)
        channel = await connection.channel()
        await channel.set_prefetch(settings.prefetch)
        subscription = HeartbeatSubscription(channel, settings.heartbeat_queue)
        try:
            yield subscription
        finally:
            subscription.end()


async def _declare(connection: Connection, settings: Settings) -> None:
    """Declare exchange and queue; a queue that was declared with other settings is replaced."""
    arguments = heartbeat_queue_arguments(int(2000 * settings.instance_timeout_s), MAX_WAITING)
    channel = await connection.channel()
    await channel.declare_exchange(HEARTBEAT_EXCHANGE, "fanout")
    try:
        await channel.declare_queue(settings.heartbeat_queue, arguments)
    except BrokerError as error:
        if not is_precondition_failure(error):
            raise
        channel = await connection.channel()
        # Heartbeats are soon sent again, so the queue may go; but not under another monitor that still reads it.
        await channel.delete_queue(settings.heartbeat_queue, if_unused=True)
        await channel.declare_queue(settings.heartbeat_queue, arguments)
    await channel.bind(settings.heartbeat_queue, HEARTBEAT_EXCHANGE)
    await channel.close()

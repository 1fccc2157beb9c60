"""Where the consumer puts what it can't process: a connection of its own, as backpressure keeps the other from reading.

Confirms must be read all the same.
"""

import asyncio
from collections.abc import Mapping

import aiormq
from aiormq.abc import AbstractChannel

from consumer.intake import Received
from models.topology import dead_letter_queue_arguments
from publisher.amqp import CONNECT_TIMEOUT_S, broker_errors, closed, connection_to, declare_queue
from publisher.content_header import Verbatim, changed, letter_properties
from publisher.raw_transport import RawTransport


class DeadLetters:
    """Publishes to the dead-letter queue.

    Args:
        amqp_url: The broker.
        queue: The dead-letter queue; declared if it is missing, taken as it is if it exists.
        source: The queue whose messages they are.
    """

    def __init__(self, amqp_url: str, queue: str, source: str) -> None:
        self._url = amqp_url
        self._queue = queue
        self._source = source
        self._transport = RawTransport()
        self._connection: aiormq.Connection | None = None
        self._channel: AbstractChannel | None = None

    async def open(self) -> None:
        """Connect and declare the queue.

        Raises:
            BrokerError: The broker can't be reached or refuses.
            SettingError: The URL is none.
        """
        self._connection = connection = connection_to(self._url, self._transport)
        with broker_errors():
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connection.connect({"connection_name": f"jobtrail dead letters of {self._source}"})
                await declare_queue(connection, self._queue, dead_letter_queue_arguments())
                self._channel = await connection.channel()

    async def close(self) -> None:
        """Close the connection.

        Raises:
            BrokerError: It was lost already.
        """
        connection, self._connection = self._connection, None
        if connection is not None:
            await closed(connection)

    async def put(self, received: Received, headers: Mapping[str, object], *, fallback_id: str) -> None:
        """Put a message into the dead-letter queue, bytes and properties untouched, and wait for the confirm.

        But it must not expire there, go to further queues once more, or be refused as of another account.

        Args:
            received: The message.
            headers: The headers that say why; its own stay beside them.
            fallback_id: Its message id there, if it has none of its own; the same for the same message.

        Raises:
            BrokerError: The broker did not confirm, the queue is gone, or the connection is not open.
        """
        raw = letter_properties(received.raw, headers)
        if not received.properties.message_id:
            raw = changed(raw, message_id=fallback_id)
        with broker_errors():
            if self._channel is None:
                raise RuntimeError("not connected")
            with self._transport.none_returned():
                await self._channel.basic_publish(
                    received.body,
                    routing_key=self._queue,
                    properties=Verbatim(raw),
                    mandatory=True,
                    timeout=CONNECT_TIMEOUT_S,
                )

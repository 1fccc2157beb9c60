"""Connections to RabbitMQ with pika, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pika
from pika.exceptions import UnroutableError

from jobtrail.broker.address import CONNECT_TIMEOUT_S, connection_parameters
from jobtrail.broker.errors import broker_failures
from jobtrail.models.errors import NotFoundError
from jobtrail.publisher.outgoing import OutgoingUpdate

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

_HEARTBEAT_S = 5
"""What waits for an answer here gives up after 10 to 20 s of silence: pika looks every 5 s more than this."""


def publish_properties(update: OutgoingUpdate) -> pika.BasicProperties:
    """Return the AMQP properties of an update."""
    return pika.BasicProperties(
        content_type="application/json",
        delivery_mode=2,
        message_id=update.message_id,
        correlation_id=update.correlation_id,
        timestamp=update.timestamp,
    )


@contextmanager
def open_channel(amqp_url: str, name: str) -> Iterator["BlockingChannel"]:
    """Open a connection with one channel on which every publish waits for the broker's confirm.

    Args:
        amqp_url: The broker, or the nodes of its cluster, which are tried in turn.
        name: What the broker's management pages call the connection.

    Yields:
        The channel. pika's errors inside the block come out as ours.

    Raises:
        BrokerError: The broker can't be reached, closed the connection, or refused a message.
        NotFoundError: A queue does not exist.
        SettingError: The URL is wrong.
    """
    nodes = connection_parameters(amqp_url, name)
    for node in nodes:
        node.heartbeat = _HEARTBEAT_S
        node.blocked_connection_timeout = CONNECT_TIMEOUT_S
    with broker_failures(amqp_url), pika.BlockingConnection(nodes) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


def publish(channel: "BlockingChannel", queue: str, body: bytes, properties: pika.BasicProperties) -> None:
    """Publish one message to a queue and wait until the broker has it.

    Args:
        channel: A channel of `open_channel`.
        queue: The queue.
        body: The message.
        properties: Its properties.

    Raises:
        NotFoundError: The queue does not exist.
    """
    try:
        channel.basic_publish("", queue, body, properties, mandatory=True)
    except UnroutableError as error:
        raise NotFoundError(f"there is no queue {queue!r} on the broker") from error

"""Connections to RabbitMQ with pika, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

from models.errors import BrokerError, NotFoundError, SettingError
from models.redaction import redact
from publisher.outgoing import Outgoing

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

NOT_FOUND = 404
RESOURCE_LOCKED = 405
CONNECT_TIMEOUT_S = 10.0


def connection_parameters(amqp_url: str, name: str) -> pika.URLParameters:
    """Read a broker's URL.

    Args:
        amqp_url: As `amqp://user:password@host:port/vhost`.
        name: What the broker's management pages call the connection.

    Returns:
        The parameters.

    Raises:
        SettingError: It is no such URL.
    """
    try:
        parameters = pika.URLParameters(amqp_url)
    except (ValueError, TypeError, AttributeError) as error:
        raise SettingError(f"the broker's URL is wrong: {redact(str(error))}") from error
    if not amqp_url.startswith(("amqp://", "amqps://")):
        raise SettingError("the broker's URL is wrong: it must start with amqp:// or amqps://")
    parameters.client_properties = {"connection_name": name}
    parameters.socket_timeout = CONNECT_TIMEOUT_S
    return parameters


def broker_address(amqp_url: str) -> str:
    """Name a broker without secrets.

    Args:
        amqp_url: The broker's URL.

    Returns:
        `host:port/vhost`.

    Raises:
        SettingError: It is no such URL.
    """
    parameters = connection_parameters(amqp_url, "")
    return f"{parameters.host}:{parameters.port}/{parameters.virtual_host.strip('/')}"


def publish_properties(update: Outgoing) -> pika.BasicProperties:
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
        amqp_url: The broker's URL.
        name: What the broker's management pages call the connection.

    Yields:
        The channel. pika's errors inside the block come out as ours.

    Raises:
        BrokerError: The broker can't be reached, closed the connection, or refused a message.
        NotFoundError: A queue does not exist.
        SettingError: The URL is wrong.
    """
    parameters = connection_parameters(amqp_url, name)
    with broker_failures(amqp_url):
        try:
            with pika.BlockingConnection(parameters) as connection:
                channel = connection.channel()
                channel.confirm_delivery()
                yield channel
        except ChannelClosedByBroker as error:
            if error.reply_code == NOT_FOUND:
                raise NotFoundError(redact(error.reply_text)) from error
            raise


@contextmanager
def broker_failures(amqp_url: str) -> Iterator[None]:
    """Turn pika's errors into ours.

    Args:
        amqp_url: The broker's URL.

    Raises:
        BrokerError: The broker can't be reached, closed the connection or the channel, or refused a message.
    """
    try:
        yield
    except ChannelClosedByBroker as error:
        raise BrokerError(f"the broker closed the channel: {redact(error.reply_text)}") from error
    except NackError as error:
        raise BrokerError("the broker refused a message; its queue is full, or only just being made") from error
    except (AMQPError, OSError) as error:
        words = redact(str(error)) or type(error).__name__
        raise BrokerError(f"RabbitMQ at {broker_address(amqp_url)} cannot be reached: {words}") from error


def publish(channel: "BlockingChannel", queue: str, body: bytes, properties: pika.BasicProperties) -> None:
    """Publish one message to a queue and wait until the broker has it.

    Args:
        channel: A channel of `open_channel`.
        queue: The queue.
        body: The message.
        properties: Its properties.

    Raises:
        NotFoundError: There is no such queue.
    """
    try:
        channel.basic_publish("", queue, body, properties, mandatory=True)
    except UnroutableError as error:
        raise NotFoundError(f"there is no queue {queue!r} on the broker") from error

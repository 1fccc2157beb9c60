"""What the asynchronous services share of AMQP: the driver's errors translated, and queues declared.

It speaks aiormq, the layer beneath aio-pika.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiormq
from aiormq.abc import AbstractConnection
from aiormq.connection import TransportFactory

from models.errors import BrokerError, BusyError, SettingError
from models.redaction import redact

CONNECT_TIMEOUT_S = 15.0


@contextmanager
def broker_errors() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        BrokerError: RabbitMQ can't be reached, refused something, or closed the connection.
    """
    try:
        yield
    except (aiormq.AMQPError, RuntimeError, asyncio.InvalidStateError, OSError, TimeoutError) as error:
        # A channel or connection that is closed already is reported as a RuntimeError or InvalidStateError.
        raise BrokerError(f"RabbitMQ: {redact(f'{type(error).__name__}: {error}')[:300]}") from error


async def declare_queue(connection: AbstractConnection, queue: str, arguments: Mapping[str, str | int | bool]) -> None:
    """Declare a durable queue; one that exists with other arguments is used as it is.

    Args:
        connection: An open connection.
        queue: The queue's name.
        arguments: The arguments it gets if it is made now.

    Raises:
        aiormq.AMQPError: The broker refuses it.
    """
    channel = await connection.channel()
    try:
        await channel.queue_declare(queue, durable=True, arguments=dict(arguments))
    except aiormq.exceptions.ChannelPreconditionFailed:
        channel = await connection.channel()
        await channel.queue_declare(queue, passive=True)
    await channel.close()


def connection_to(amqp_url: str, transport: TransportFactory | None = None) -> aiormq.Connection:
    """Make a connection that is not open yet.

    Args:
        amqp_url: The broker.
        transport: What opens its socket; None for the driver's own.

    Returns:
        The connection.

    Raises:
        SettingError: The URL is none.
    """
    words = "JOBTRAIL_AMQP_URL is no URL of a broker; it should be amqp://user:password@host:5672/vhost"
    try:
        connection = aiormq.Connection(amqp_url, transport_factory=transport)
    except (ValueError, TypeError) as error:
        raise SettingError(words) from error
    if connection.url.scheme not in ("amqp", "amqps") or not connection.url.host:
        raise SettingError(words)
    return connection


async def closed(connection: aiormq.Connection) -> None:
    """Close a connection.

    Args:
        connection: The connection, in whatever state it is.

    Raises:
        BrokerError: It was lost already.
    """
    with broker_errors():
        await connection.close()


async def lock(connection: AbstractConnection, name: str, taken: str) -> None:
    """Take a right that one connection at a time may have; it ends with the connection, on the broker's side.

    So whoever has the right knows that no predecessor, however slow, still speaks to the broker. An exclusive queue is
    what the broker offers for that.

    Args:
        connection: An open connection.
        name: The right.
        taken: What to say where another connection has it.

    Raises:
        BusyError: Another connection has it.
        aiormq.AMQPError: The broker refuses something else.
    """
    channel = await connection.channel()
    try:
        await channel.queue_declare(name, exclusive=True)
    except aiormq.exceptions.ChannelLockedResource as error:
        raise BusyError(taken) from error

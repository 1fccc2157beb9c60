"""What the asynchronous services share of AMQP: the driver's errors translated, and queues declared.

It speaks aiormq, the layer beneath aio-pika.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiormq
from aiormq.abc import AbstractConnection

from models.errors import BrokerError
from models.redaction import redact


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

"""What services declare on the broker."""

from pika.exceptions import ChannelClosedByBroker

from jobtrail.broker.channel import Arguments, DeclaredQueue
from jobtrail.broker.connection import Connection
from jobtrail.broker.errors import PRECONDITION_FAILED
from jobtrail.models.errors import BrokerError, BusyError


async def declare_as_it_is(connection: Connection, queue: str, arguments: Arguments) -> DeclaredQueue:
    """Declare a durable queue; one that exists with other arguments is used as it is.

    Args:
        connection: An open connection.
        queue: The queue.
        arguments: The arguments it gets if it is made now.

    Raises:
        BrokerError: The broker refuses it.
    """
    channel = await connection.channel()
    try:
        return await channel.declare_queue(queue, arguments)
    except BrokerError as error:
        refused = error.__cause__
        if not (isinstance(refused, ChannelClosedByBroker) and refused.reply_code == PRECONDITION_FAILED):
            raise
    finally:
        await channel.close()
    channel = await connection.channel()
    try:
        return await channel.declare_queue(queue, passive=True)
    finally:
        await channel.close()


async def lock(connection: Connection, name: str, taken: str) -> None:
    """Take a right that one connection at a time may have; it ends with the connection, on the broker's side.

    So whoever has the right knows that no predecessor, however slow, still speaks to the broker. An exclusive queue is
    what the broker offers for that.

    Args:
        connection: An open connection.
        name: The right.
        taken: What to say where another connection has it.

    Raises:
        BusyError: Another connection has it.
        BrokerError: The broker refuses something else.
    """
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, exclusive=True)
    except BusyError as error:
        raise BusyError(taken) from error

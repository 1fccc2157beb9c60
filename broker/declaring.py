"""What services declare on the broker."""

from jobtrail.broker.channel import Arguments, DeclaredQueue
from jobtrail.broker.connection import Connection
from jobtrail.broker.errors import is_precondition_failure
from jobtrail.models.errors import BrokerError, BusyError


async def find_queue(connection: Connection, queue: str) -> DeclaredQueue:
    """Ask about a queue without declaring it; one that does not exist is a `NotFoundError`."""
    channel = await connection.channel()
    try:
        return await channel.declare_queue(queue, passive=True)
    finally:
        await channel.close()


async def declare_as_it_is(connection: Connection, queue: str, arguments: Arguments) -> DeclaredQueue:
    """Declare a durable queue; one that exists with other arguments is used as it is."""
    channel = await connection.channel()
    try:
        return await channel.declare_queue(queue, arguments)
    except BrokerError as error:
        if not is_precondition_failure(error):
            raise
    finally:
        await channel.close()
    return await find_queue(connection, queue)


async def lock(connection: Connection, name: str, taken: str) -> None:
    """Take a right that one connection at a time may have; it ends with the connection, on the broker's side.

    So whoever has the right knows that no predecessor, however slow, still speaks to the broker. An exclusive queue is
    what the broker offers for that. Where another connection has the right, it is a `BusyError` that says `taken`.
    """
    channel = await connection.channel()
    try:
        await channel.declare_queue(name, exclusive=True)
    except BusyError as error:
        raise BusyError(taken) from error

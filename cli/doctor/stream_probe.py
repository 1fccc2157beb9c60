"""Finds out about streams what AMQP has no command for: whether the broker has them, and how one is declared."""

import asyncio
import re
from collections.abc import Mapping

from jobtrail.broker.address import broker_urls
from jobtrail.broker.channel import Arguments
from jobtrail.broker.connection import Connection
from jobtrail.broker.errors import is_precondition_failure
from jobtrail.models.errors import BrokerError, NotFoundError

_TIMEOUT_S = 5.0
_LOOK_S = 0.05
_MAX_DIFFERENCES = 16
_UNLIKE = re.compile(
    r"inequivalent arg '(?P<name>[^']+)'.* but current is"
    r" (?:none|(?:the value )?'(?P<value>[^']*)'(?: of type '(?P<type>\w+)')?)",
    re.DOTALL,
)
_ANY_NAME = "jobtrail.is-there-a-stream"
QUEUE_TYPE = "x-queue-type"

Differences = Mapping[str, str | int | None]
"""Arguments by name, as the broker has them; None for one that is not set."""


async def why_unsupported(amqp_url: str) -> str | None:
    """Find out whether the broker has streams, by asking for one that it must refuse: an exclusive one.

    Returns None where it has; else what the broker says.
    """
    async with Connection(amqp_url, "jobtrail doctor") as connection:
        channel = await connection.channel()
        try:
            await channel.declare_queue(_ANY_NAME, {QUEUE_TYPE: "stream"}, exclusive=True)
        except BrokerError as error:
            return None if is_precondition_failure(error) and "exclusive" in str(error) else str(error)
    return "it makes a queue of another type"


async def why_unreadable(amqp_url: str, stream: str) -> str | None:
    """Find out whether a stream can be read, which only nodes with a replica of it allow.

    Returns None where one of the nodes allows it; else what the last one says.
    """
    for node in broker_urls(amqp_url):
        try:
            await _read_last(node, stream)
            return None
        except TimeoutError:
            problem = f"no answer within {_TIMEOUT_S:g} s"
        except (BrokerError, NotFoundError) as error:
            problem = str(error)
    return problem


async def _read_last(node: str, stream: str) -> None:
    async with Connection(node, "jobtrail stream probe") as connection, asyncio.timeout(_TIMEOUT_S):
        channel = await connection.channel()
        await channel.declare_queue(stream, passive=True)
        await channel.set_prefetch(1)
        await channel.consume(stream, lambda _delivery: None, {"x-stream-offset": "last"})


async def differences(connection: Connection, queue: str, wanted: Arguments) -> Differences:
    """Find out in which arguments an existing queue is not as wanted.

    AMQP has no way to read a queue's arguments; but declaring it again compares them, and names the first that differs.
    """
    asked, found = dict(wanted), dict[str, str | int | None]()
    for _ in range(_MAX_DIFFERENCES):
        channel = await connection.channel()
        try:
            await channel.declare_queue(queue, asked)
            break
        except BrokerError as error:
            unlike = _UNLIKE.search(str(error))
            if unlike is None or not is_precondition_failure(error):
                raise
            name = unlike["name"]
            if name in found:  # not an argument but a property, such as durability
                break
            found[name] = value = _value(unlike, asked.get(name))
            asked.pop(name, None)
            if value is not None:
                asked[name] = value
        finally:
            await channel.close()
    return found


def difference_words(name: str, value: str | int | None, wanted: str | int | bool | None) -> str:
    """Say what an argument is, and what it should be."""
    if value is None:
        return f"{name} is not set instead of {wanted}"
    return f"{name} is {value}" + ("" if wanted is None else f" instead of {wanted}")


def is_stream(found: Differences) -> bool:
    """Tell whether a queue is a stream, by its differences from one; streams are durable."""
    return QUEUE_TYPE not in found and "durable" not in found


async def is_blocked(amqp_url: str) -> bool:
    """Find out whether the broker is blocked. It tells only publishers, so this publishes a message to nowhere."""
    async with Connection(amqp_url, "jobtrail doctor") as connection:
        channel = await connection.channel()
        channel.raw.basic_publish("", _ANY_NAME, b"")
        # The broker no longer reads from a blocked connection, so this is not answered then.
        answer = asyncio.ensure_future(channel.set_prefetch(1))
        deadline = asyncio.get_running_loop().time() + _TIMEOUT_S
        while not (connection.blocked or answer.done()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait((answer,), timeout=_LOOK_S)
        answer.cancel()
        await asyncio.gather(answer, return_exceptions=True)
        return connection.blocked


def _value(unlike: re.Match[str], asked: str | int | bool | None) -> str | int | None:
    """Parse a value in the broker's answer, which names its type only where we did not set the argument."""
    text, kind = unlike["value"], unlike["type"]
    is_number = "int" in kind if kind else isinstance(asked, int)
    return int(text) if is_number and text is not None and text.isdigit() else text

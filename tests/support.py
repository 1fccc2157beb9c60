"""What many tests need: waiting for a condition instead of sleeping, and fresh names."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic, BasicProperties
from pymongo import MongoClient

from jobtrail.models.settings import Settings

T = TypeVar("T")

WAIT_S = 60.0
"""How long anything may take: for a machine that is slow and busy."""
_POLL_S = 0.02
_LEAVE_S = 10.0


def eventually(condition: Callable[[], T], timeout_s: float = WAIT_S) -> T:
    """Wait until a condition holds.

    Args:
        condition: Called again and again. It holds when it returns a true value, or None after its `assert` statements;
            an `AssertionError` counts as "not yet".
        timeout_s: How long it may take, in seconds.

    Returns:
        The condition's value.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            value = condition()
            if value or value is None:
                return value
            last = f"the last value was {value!r}"
        except AssertionError as error:
            last = f"the last failure was: {error}"
        if time.monotonic() > deadline:
            pytest.fail(f"the condition did not hold within {timeout_s:g} s; {last}")
        time.sleep(_POLL_S)


async def eventually_async(condition: Callable[[], Awaitable[T]], timeout_s: float = WAIT_S) -> T:
    """Wait until a condition that is a coroutine function holds, while the event loop goes on; see `eventually`.

    Args:
        condition: Called and awaited again and again.
        timeout_s: How long it may take, in seconds.

    Returns:
        The condition's value.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            value = await condition()
            if value or value is None:
                return value
            last = f"the last value was {value!r}"
        except AssertionError as error:
            last = f"the last failure was: {error}"
        if time.monotonic() > deadline:
            pytest.fail(f"the condition did not hold within {timeout_s:g} s; {last}")
        await asyncio.sleep(_POLL_S)


def next_message(channel: BlockingChannel, queue: str) -> tuple[Basic.GetOk, BasicProperties, bytes]:
    """Wait for a queue's next message and take it; it is still to be acknowledged.

    Args:
        channel: A channel.
        queue: The queue.

    Returns:
        How it was delivered, its properties and its body.
    """

    def take() -> tuple[Basic.GetOk, BasicProperties, bytes]:
        method, properties, body = channel.basic_get(queue)
        assert method is not None, "the queue is empty"
        return method, properties, body

    return eventually(take)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process; one that does not leave when it is asked to is killed.

    Killed at once it might leave a transaction open, and whoever drops the database then waits a minute for its end.
    """
    for number in (signal.SIGCONT, signal.SIGTERM):
        process.send_signal(number)
    try:
        process.wait(_LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class ServiceProcess:
    """A service in a process of its own, to be killed and started again.

    Args:
        module: What is run; it touches `READY_FILE` when it is about to work.
        settings: Its settings, as far as all services have them.
        ready: The file.
        environment: What else it is told.
    """

    def __init__(self, module: str, settings: Settings, ready: Path, **environment: str) -> None:
        self._module = module
        self._ready = ready
        self._environment = {
            **os.environ,
            "READY_FILE": str(ready),
            "JOBTRAIL_AMQP_URL": settings.require_amqp_url(),
            "JOBTRAIL_MONGO_URL": settings.require_mongo_url(),
            "JOBTRAIL_DATABASE": settings.database,
            "JOBTRAIL_REPLY_STREAM": settings.reply_stream,
            "JOBTRAIL_DEAD_LETTER_QUEUE": settings.dead_letter_queue,
            "JOBTRAIL_RETRY_MAX_WAIT_S": "0.5",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process."""
        self._ready.unlink(missing_ok=True)
        self._process = subprocess.Popen([sys.executable, "-m", self._module], env=self._environment)

    def end(self) -> None:
        """End it, where it was started."""
        if self._process is not None:
            end(self._process)

    def kill(self) -> None:
        """SIGKILL it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def client_to(mongo_url: str) -> MongoClient[dict[str, Any]]:
    """A client of the database. What it has seen, a transaction that begins then sees too: it is majority-committed."""
    return MongoClient(mongo_url, tz_aware=True, readConcernLevel="majority")


def messages_waiting(amqp_url: str, queue: str) -> int:
    """Count the messages that wait in a queue; a queue that does not exist has none."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        try:
            declared = connection.channel().queue_declare(queue, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return 0
        return int(declared.method.message_count)


@dataclass(slots=True)
class Names:
    """Fresh names for one test. What is named through it is deleted after the test."""

    prefix: str = field(default_factory=lambda: f"t{uuid4().hex[:12]}")
    queues: list[str] = field(default_factory=list)
    exchanges: list[str] = field(default_factory=list)

    def queue(self, label: str = "queue") -> str:
        """Return a queue name of this test's own, the same one for the same label."""
        return self._note(self.queues, label)

    def exchange(self, label: str = "exchange") -> str:
        """Return an exchange name of this test's own, the same one for the same label."""
        return self._note(self.exchanges, label)

    def job(self, label: str = "job") -> str:
        """Return a job id of this test's own, the same one for the same label."""
        return f"{self.prefix}-{label}"

    def extractor(self, label: str = "extractor") -> str:
        """Return an extractor's name, which is its queue's too, of this test's own, the same one for the same label."""
        return self.queue(label)

    def _note(self, known: list[str], label: str) -> str:
        name = f"{self.prefix}.{label}"
        if name not in known:
            known.append(name)
        return name

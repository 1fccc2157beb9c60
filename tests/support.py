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
from pymongo.database import Database as MongoDatabase

from jobtrail.models.settings import Settings
from jobtrail.store.database import INDEXES

T = TypeVar("T")

WAIT_S = 60.0
"""How long anything may take: for a machine that is slow and busy."""
_POLL_S = 0.02
_LEAVE_S = 10.0


class _Waiting:
    """One wait: whether it has lasted too long, and what was seen last."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s

    def not_yet(self, seen: object) -> None:
        """Fail when the time is over."""
        if time.monotonic() > self._deadline:
            pytest.fail(f"the condition did not hold within {self._timeout_s:g} s; {seen}")


def eventually(condition: Callable[[], T | None], timeout_s: float = WAIT_S) -> T:
    """Wait until a function returns a true value, and return that; an `AssertionError` counts as "not yet"."""
    waiting = _Waiting(timeout_s)
    while True:
        try:
            if value := condition():
                return value
            waiting.not_yet(f"the last value was {value!r}")
        except AssertionError as error:
            waiting.not_yet(f"the last failure was: {error}")
        time.sleep(_POLL_S)


def eventually_holds(assertions: Callable[[], None], timeout_s: float = WAIT_S) -> None:
    """Wait until a function that returns nothing raises no `AssertionError`."""

    def hold() -> bool:
        _assert_returns_nothing(assertions())
        return True

    eventually(hold, timeout_s)


async def eventually_async(condition: Callable[[], Awaitable[T | None]], timeout_s: float = WAIT_S) -> T:
    """Wait as `eventually` does, for a coroutine function, while the event loop goes on."""
    waiting = _Waiting(timeout_s)
    while True:
        try:
            if value := await condition():
                return value
            waiting.not_yet(f"the last value was {value!r}")
        except AssertionError as error:
            waiting.not_yet(f"the last failure was: {error}")
        await asyncio.sleep(_POLL_S)


async def eventually_holds_async(assertions: Callable[[], Awaitable[None]], timeout_s: float = WAIT_S) -> None:
    """Wait as `eventually_holds` does, for a coroutine function, while the event loop goes on."""

    async def hold() -> bool:
        _assert_returns_nothing(await assertions())
        return True

    await eventually_async(hold, timeout_s)


def _assert_returns_nothing(value: object) -> None:
    if value is not None:
        raise TypeError(f"a value is not looked at here, use eventually: {value!r}")


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


def empty(database: MongoDatabase[dict[str, Any]]) -> None:
    """Empty a trail's database; collections that are not as `Database.ensure_indexes` makes them are dropped."""
    for collection in database.list_collections():
        name = collection["name"]
        indexes = {"_id_", *(index.document["name"] for index in INDEXES.get(name, []))}
        if name in INDEXES and not collection["options"] and set(database[name].index_information()) == indexes:
            database[name].delete_many({})
        else:
            database.drop_collection(name)


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

"""What the publisher's tests share: reading a reply queue, and worker processes that can be killed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pika

from jobtrail.models.topology import stream_arguments
from jobtrail.publisher.spool.ledger import SpoolLedger
from tests.support import WAIT_S, eventually_async

T = TypeVar("T")

WORKER = Path(__file__).with_name("worker.py")
_MANY = 100
"""From so many messages on, fetching them one by one takes too long."""
NOBODY_LISTENS = "amqp://guest:guest@127.0.0.1:1/"


@dataclass(frozen=True)
class Received:
    """One message of a reply queue."""

    fields: dict
    properties: pika.BasicProperties
    redelivered: bool = False

    @property
    def kind(self) -> str:
        return self.fields["message_type"]

    @property
    def text(self) -> str:
        return self.fields["message"]


class Inbox:
    """A reply queue; messages are taken from it as they come."""

    def __init__(self, amqp_url: str, queue: str, *, declare: bool = True, arguments: dict | None = None) -> None:
        self.queue = queue
        self.messages: list[Received] = []
        self._connection = pika.BlockingConnection(pika.URLParameters(amqp_url))
        self._channel = self._connection.channel()
        if declare:
            self.declare(arguments)

    def declare(self, arguments: dict | None = None) -> None:
        self._channel.queue_declare(self.queue, durable=True, arguments=arguments)

    def delete(self) -> None:
        self._channel.queue_delete(self.queue)

    def take(self) -> list[Received]:
        """Everything so far, in the order of arrival."""
        while (waiting := self._channel.queue_declare(self.queue, passive=True).method.message_count) >= _MANY:
            self._take_many(min(waiting, 10_000))
        while True:
            method, properties, body = self._channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                return self.messages
            self.messages.append(Received(json.loads(body), properties, method.redelivered))

    def _take_many(self, count: int) -> None:
        self._channel.basic_qos(prefetch_count=count)  # the broker hands out no more, which would be lost here
        for taken, (method, properties, body) in enumerate(self._channel.consume(self.queue), 1):
            self.messages.append(Received(json.loads(body), properties, method.redelivered))
            if taken == count:
                break
        self._channel.cancel()
        self._channel.basic_ack(method.delivery_tag, multiple=True)

    def take_all(self, count: int) -> list[Received]:
        """For `eventually`: everything, once there is enough."""
        messages = self.take()
        assert len(messages) >= count, f"{len(messages)} of {count} messages"
        return messages

    def kinds(self) -> list[str]:
        return [message.kind for message in self.take()]

    def close(self) -> None:
        self._connection.close()


@contextmanager
def inbox(amqp_url: str, queue: str, *, declare: bool = True, arguments: dict | None = None) -> Iterator[Inbox]:
    opened = Inbox(amqp_url, queue, declare=declare, arguments=arguments)
    try:
        yield opened
    finally:
        opened.close()


def without_repeats(messages: list[Received]) -> list[Received]:
    """What a consumer keeps: the first of each message id."""
    return list({message.properties.message_id: message for message in reversed(messages)}.values())[::-1]


def spooled(ledger: SpoolLedger) -> list[dict]:
    """The bodies of a ledger's unsent updates, oldest first."""
    spool = ledger.spool
    rows = [row for key in spool.routing_keys() for row in spool.take(key, 0, -1)]
    return [json.loads(row.update.body) for row in sorted(rows, key=lambda row: row.row_id)]


def start_worker(amqp_url: str, queue: str, spool: Path, job: str, count: int) -> subprocess.Popen[str]:
    """Start a worker that reports `count` steps of one job, and prints the number of each whose call has returned."""
    return subprocess.Popen(
        [sys.executable, WORKER, amqp_url, queue, str(spool), job, str(count)], stdout=subprocess.PIPE, text=True
    )


def kill(worker: subprocess.Popen[str]) -> list[int]:
    """SIGKILL a worker; return the numbers it printed."""
    worker.kill()
    printed = worker.stdout.read()
    worker.stdout.close()
    worker.wait()
    # A number that was cut off in the middle was not printed.
    return [int(line) for line in printed.split("\n")[:-1]]


async def soon(condition: Callable[[], T]) -> T:
    """`eventually` for a plain condition, while the event loop goes on."""

    async def call() -> T:
        return condition()

    return await eventually_async(call)


def stream_messages(amqp_url: str, stream: str, count: int) -> list[Received]:
    """Read this many messages of a stream from its beginning; fails where there are less."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.basic_qos(prefetch_count=count)
        messages: list[Received] = []
        for method, properties, body in channel.consume(
            stream, arguments={"x-stream-offset": "first"}, inactivity_timeout=WAIT_S
        ):
            assert method is not None, f"{len(messages)} of {count} messages"
            messages.append(Received(json.loads(body), properties))
            channel.basic_ack(method.delivery_tag)
            if len(messages) == count:
                return messages
    raise AssertionError("the consumer was cancelled")


def declare_streams(amqp_url: str, *streams: str) -> None:
    """Make streams, small ones."""
    arguments = stream_arguments(retention_days=1, retention_gb=0.1, segment_mb=1)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for stream in streams:
            connection.channel().queue_declare(stream, durable=True, arguments=dict(arguments))

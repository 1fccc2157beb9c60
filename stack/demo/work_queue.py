"""How the demo's own workers take their work: one request at a time, acknowledged when it is done."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pika.adapters.blocking_connection import BlockingConnection
from pika.spec import BasicProperties

from jobtrail.broker.address import connection_parameters
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import load_object
from jobtrail.models.topology import error_queue

MAX_BODY_BYTES = 1024 * 1024
_POLL_S = 0.5


class WorkerStopping(BaseException):
    """SIGTERM came: the request in hand goes back to the queue."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Work:
    """One request, taken from the queue and not acknowledged yet."""

    fields: dict[str, object]
    """The request, as pyClowder reads it."""
    body: bytes
    properties: BasicProperties
    path: Path
    """The file to work on."""
    duration_s: float
    """Seconds to take, so that people can watch."""
    retry_count: int
    """Attempts that failed before this one."""


class WorkQueue:
    """A worker's queue and its connection, until SIGTERM.

    Use it in a `with` statement: SIGTERM leaves that, and unfinished work goes back to the queue.
    """

    def __init__(self, amqp_url: str, name: str) -> None:
        self.name = name
        self._stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        self._connection = BlockingConnection(connection_parameters(amqp_url, name))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()
        self._channel.basic_qos(prefetch_count=1)
        for queue in (name, error_queue(name)):
            self._channel.queue_declare(queue, durable=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if self._connection.is_open:
            self._connection.close()
        return kind is WorkerStopping

    def take(self) -> Iterator[Work]:
        """Take requests until SIGTERM; each is acknowledged when the next is taken, else it goes back to the queue."""
        for method, properties, body in self._channel.consume(self.name, inactivity_timeout=_POLL_S):
            if self._stopping:
                return
            if method is None or properties is None or body is None:
                continue
            try:
                work = _read(body, properties)
            except DecodeError:
                self._publish(error_queue(self.name), body, properties)
            else:
                yield work
            self._channel.basic_ack(method.delivery_tag or 0)

    def parts(self, work: Work, count: int) -> Iterator[tuple[bytes, float]]:
        """Read the file part by part over the request's time; yields each part with the percentage read so far."""
        size = work.path.stat().st_size
        part_size = max(1, -(-size // count))
        with work.path.open("rb") as file:
            while part := file.read(part_size):
                # Not time.sleep: the connection needs service, or the broker would think that the worker is dead.
                self._connection.sleep(work.duration_s * len(part) / size)
                if self._stopping:
                    raise WorkerStopping("the request goes back to the queue")
                yield part, 100 * file.tell() / size

    def put_back(self, work: Work) -> None:
        """Put a request back at the end of its queue, for the next attempt."""
        fields = {**work.fields, "retry_count": work.retry_count + 1}
        self._publish(self.name, json.dumps(fields).encode(), work.properties)

    def give_up(self, work: Work) -> None:
        """Put a request into the error queue."""
        self._publish(error_queue(self.name), work.body, work.properties)

    def send(self, queue: str, body: bytes, properties: BasicProperties) -> None:
        """Publish a message to a queue and wait for the broker's confirm."""
        self._publish(queue, body, properties)

    def _publish(self, queue: str, body: bytes, properties: BasicProperties) -> None:
        kept = BasicProperties(delivery_mode=2, reply_to=properties.reply_to, correlation_id=properties.correlation_id)
        self._channel.basic_publish("", queue, body, kept, mandatory=True)

    def _stop(self, *_signal: object) -> None:
        self._stopping = True


def _read(body: bytes, properties: BasicProperties) -> Work:
    fields = load_object(body, MAX_BODY_BYTES)
    given = fields.get("parameters")
    parameters = given if isinstance(given, dict) else {}
    duration_s = parameters.get("duration_s")
    retry_count = fields.get("retry_count")
    return Work(
        fields=fields,
        body=body,
        properties=properties,
        # A request typed by hand may name no file: then it is this one.
        path=Path(str(parameters.get("path", __file__))),
        duration_s=float(duration_s) if isinstance(duration_s, int | float) else 0.0,
        retry_count=retry_count if isinstance(retry_count, int) else 0,
    )

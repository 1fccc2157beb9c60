"""The heartbeat sender that a worker runs: a thread with a connection of its own. Needs nothing but pika."""

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pika

from jobtrail.broker.address import connection_parameters
from jobtrail.broker.errors import plain_words
from jobtrail.broker.link import Link
from jobtrail.models.heartbeat import encode_heartbeat, listed
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from jobtrail.runtime.backoff import Backoff

if TYPE_CHECKING:
    from pika.channel import Channel

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STOP_TIMEOUT_S = 5.0


class HeartbeatSender:
    """Says every few seconds that this worker process lives, and which jobs it has in flight.

    It connects again for ever when the broker is away and never stops the worker. Use it as a context manager, or call
    `start` and `stop`; after a clean `stop` the instance shows as offline at once.

    Args:
        amqp_url: The broker, or the nodes of its cluster, which are tried in turn; as for `Reporter`.
        extractor_info: As in pyClowder's `extractor_info.json`; it needs `name` and `version`.
        queue: The queue that the worker takes its work from.
        instance_id: Names this process, and no other before or after it: a new UUID.
        owner: The owner's email.
        interval_s: Seconds between two heartbeats.
        jobs_in_flight: Called from the sender's thread; returns the ids of the jobs that the worker has in its hands.
            Without it the heartbeats list no jobs, and silent jobs are judged by time only.

    Raises:
        SettingError: The URL is wrong.
        ValueError: `extractor_info` has no name, or can't be written as JSON; the interval is not positive.
    """

    def __init__(
        self,
        amqp_url: str,
        extractor_info: Mapping[str, object],
        *,
        queue: str,
        instance_id: str,
        owner: str | None = None,
        interval_s: float = 10.0,
        jobs_in_flight: Callable[[], Collection[str]] | None = None,
    ) -> None:
        if not extractor_info.get("name"):
            raise ValueError("extractor_info needs a name")
        if interval_s <= 0:
            raise ValueError(f"interval_s must be positive, not {interval_s}")
        try:
            # A copy: what the worker changes later in its own does not reach a heartbeat half done.
            self._info: dict[str, object] = json.loads(json.dumps(dict(extractor_info)))
        except TypeError as error:
            raise ValueError(f"extractor_info can't be written as JSON: {error}") from error
        nodes = connection_parameters(amqp_url, f"jobtrail heartbeats {extractor_info['name']}")
        self._link = Link(nodes, self._on_channel, self._on_lost)
        self._queue = queue
        self._instance_id = instance_id
        self._owner = owner
        self._interval_s = interval_s
        self._jobs_in_flight = jobs_in_flight
        self._sequence = time.time_ns() // 1_000_000
        self._stopping = threading.Event()
        self._asked = False
        self._due_at = 0.0
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start sending; the first heartbeat goes out as soon as the broker is reached. Does not wait for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="heartbeat-sender", daemon=True)
            self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Send a last heartbeat that says goodbye, if the broker is reached, and stop.

        Args:
            timeout_s: Longest wait in seconds.
        """
        self._stopping.set()
        self.beat_now()
        self._link.stop()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def beat_now(self) -> None:
        """Send a heartbeat at once: a job was begun or ended. Safe in any thread; returns without waiting."""
        # The sender clears the flag before it asks for the jobs: of many calls in a row one is enough.
        if not self._asked:
            self._asked = True
            self._link.call(self._beat)

    def _run(self) -> None:
        backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._link.run()
            except Exception:  # the thread must outlive whatever happens in it
                logger.exception("Heartbeats failed; going on", extra={"action": "heartbeat.sender.failed"})
            if time.monotonic() - started > LONGEST_PAUSE_S:
                backoff.reset()
            self._stopping.wait(backoff.next_s() / self._link.node_count)

    def _on_channel(self, channel: "Channel") -> None:
        channel.exchange_declare(
            exchange=HEARTBEAT_EXCHANGE, exchange_type="fanout", durable=True, callback=lambda _: self._begin()
        )

    def _begin(self) -> None:
        logger.info("Heartbeats are being sent", extra={"action": "heartbeat.sender.connected"})
        self._due_at = 0.0
        # Not from here, where pika would take an error of the worker's for one of its own.
        self._link.call_soon(self._beat_when_due)

    def _on_lost(self, reason: BaseException) -> None:
        logger.warning(
            "Heartbeats can't be sent; connecting again: %s",
            plain_words(reason),
            extra={"action": "heartbeat.sender.broker_lost"},
        )

    def _beat_when_due(self) -> None:
        if (left_s := self._due_at - time.monotonic()) <= 0:
            self._beat()
            left_s = self._interval_s
        self._link.call_later(left_s, self._beat_when_due)

    def _beat(self) -> None:
        self._asked = False
        self._due_at = time.monotonic() + self._interval_s
        channel = self._link.channel
        # What is said to a broker that takes nothing would be old news when it does again.
        if channel is not None and not self._link.blocked:
            self._publish(channel)

    def _publish(self, channel: "Channel") -> None:
        self._sequence += 1
        body = encode_heartbeat(
            instance_id=self._instance_id,
            extractor_info=self._info,
            queue=self._queue,
            owner=self._owner,
            sent_at=datetime.now(UTC),
            sequence=self._sequence,
            extra={
                "jobs": self._jobs(),
                "interval_s": self._interval_s,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "stopping": self._stopping.is_set() or None,
            },
        )
        properties = pika.BasicProperties(content_type="application/json")
        channel.basic_publish(exchange=HEARTBEAT_EXCHANGE, routing_key="", body=body, properties=properties)

    def _jobs(self) -> list[str] | None:
        if self._jobs_in_flight is None:
            return None
        try:
            return listed(self._jobs_in_flight())
        except Exception:  # the worker's own code
            # A list that is not known is left out: an empty one would disown the worker's jobs.
            logger.exception("The jobs in flight are not known", extra={"action": "heartbeat.sender.jobs_unknown"})
            return None

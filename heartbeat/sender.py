"""The heartbeat sender that a worker runs: a thread with a connection of its own. Needs nothing but pika."""

import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from models.heartbeat import encode_heartbeat, listed
from models.redaction import redact
from models.topology import HEARTBEAT_EXCHANGE

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5
"""Longest wait for each step of a connection attempt."""
BROKER_HEARTBEAT_S = 20
"""A dead connection is noticed after two of these, in seconds, unless the URL says otherwise."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 10.0
STOP_TIMEOUT_S = 5.0


class HeartbeatSender:
    """Says every few seconds that this worker process lives, and which jobs it has in flight.

    It connects again for ever when the broker is away and never stops the worker. Use it as a context manager, or call
    `start` and `stop`; after a clean `stop` the instance shows as offline at once.

    Args:
        amqp_url: The broker.
        extractor_info: As in pyClowder's `extractor_info.json`; it needs `name` and `version`.
        queue: The queue that the worker takes its work from.
        instance_id: Names this process, and no other before or after it: a new UUID.
        owner: The owner's email.
        interval_s: Seconds between two heartbeats.
        jobs_in_flight: Called from the sender's thread; returns the ids of the jobs that the worker has in its hands.
            Without it the heartbeats list no jobs, and silent jobs are judged by time only.

    Raises:
        ValueError: `extractor_info` has no name, or is no JSON; the interval is not positive.
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
        self._parameters = pika.URLParameters(amqp_url)
        self._parameters.socket_timeout = CONNECT_TIMEOUT_S
        self._parameters.stack_timeout = CONNECT_TIMEOUT_S
        self._parameters.blocked_connection_timeout = BROKER_HEARTBEAT_S
        if self._parameters.heartbeat is None:
            self._parameters.heartbeat = BROKER_HEARTBEAT_S
        self._queue = queue
        self._instance_id = instance_id
        self._owner = owner
        self._interval_s = interval_s
        self._jobs_in_flight = jobs_in_flight
        self._sequence = time.time_ns() // 1_000_000
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._lock = threading.Lock()
        self._connection: pika.BlockingConnection | None = None
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
        if self._thread is not None:
            self._thread.join(timeout_s)

    def beat_now(self) -> None:
        """Send a heartbeat at once: a job was begun or ended. Safe in any thread; returns without waiting."""
        self._due.set()
        with self._lock:
            if self._connection is None:
                return
            try:
                # Wakes the thread from its wait for the broker.
                self._connection.add_callback_threadsafe(_nothing)
            except AMQPError:
                logger.debug("Heartbeat connection is closing", extra={"action": "heartbeat.sender.closing"})

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._session()
            except (AMQPError, OSError) as error:
                logger.warning(
                    "Heartbeats can't be sent; connecting again: %s",
                    redact(f"{type(error).__name__} {error}"),
                    extra={"action": "heartbeat.sender.broker_lost"},
                )
            except Exception:  # the thread must outlive whatever happens in it
                logger.exception("Heartbeats failed; going on", extra={"action": "heartbeat.sender.failed"})
            if time.monotonic() - started > LONGEST_PAUSE_S:
                pause_s = FIRST_PAUSE_S
            self._stopping.wait(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads the workers of a restarted broker
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _session(self) -> None:
        """Send heartbeats on one connection until it breaks or the sender stops."""
        connection = pika.BlockingConnection(self._parameters)
        try:
            channel = connection.channel()
            channel.exchange_declare(exchange=HEARTBEAT_EXCHANGE, exchange_type="fanout", durable=True)
            with self._lock:
                self._connection = connection
            logger.info("Heartbeats are being sent", extra={"action": "heartbeat.sender.connected"})
            while not self._stopping.is_set():
                self._due.clear()
                self._beat(channel)
                self._wait(connection)
            self._beat(channel)
        finally:
            with self._lock:
                self._connection = None
            if connection.is_open:
                connection.close()

    def _wait(self, connection: pika.BlockingConnection) -> None:
        """Serve the connection until the next heartbeat is due."""
        next_beat = time.monotonic() + self._interval_s
        while not self._due.is_set() and (left_s := next_beat - time.monotonic()) > 0:
            connection.process_data_events(time_limit=left_s)

    def _beat(self, channel: BlockingChannel) -> None:
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


def _nothing() -> None:
    """Do nothing."""

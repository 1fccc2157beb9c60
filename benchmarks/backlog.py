"""Durable messages in pyClowder's form, published to wait for whoever is measured."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks.workbench import BenchmarkError, Lane
from cli.progress import ProgressTeller
from models.topology import dead_letter_queue_arguments, reply_queue_arguments

UPDATES_PER_JOB = 10
JOBS_AT_ONCE = 20
LARGE_TEXT = 950_000
"""Characters of a large message; its body holds them twice, as pyClowder's do: in `status` and in `message`."""
_SETTLE_S = 60.0


def small_updates(count: int) -> Iterator[tuple[bytes, str]]:
    """Make the updates of many jobs, twenty of them at work at the same time.

    Args:
        count: How many.

    Yields:
        Body and correlation id, in pyClowder's order: start, eight steps, done.
    """
    made = 0
    while made < count:
        jobs = [str(uuid4()) for _ in range(JOBS_AT_ONCE)]
        for step in range(UPDATES_PER_JOB):
            kind = {0: "start", UPDATES_PER_JOB - 1: "done"}.get(step, "processing")
            for job_id in jobs:
                if made == count:
                    return
                made += 1
                yield body(job_id, kind, f"Step {step} of the work on this file"), job_id


def large_updates(count: int) -> Iterator[tuple[bytes, str]]:
    """Make updates of 1.9 MB each, all of one job.

    Args:
        count: How many.

    Yields:
        Body and correlation id.
    """
    job_id = str(uuid4())
    for number in range(count):
        yield body(job_id, "processing", f"{number} " + "word " * (LARGE_TEXT // 5)), job_id


def body(job_id: str, kind: str, message: str, resource_id: str = "5cb2d2d3a4be0f9fd3400001") -> bytes:
    """Make one status update as pyClowder 3.0.8 writes it.

    Args:
        job_id: The job.
        kind: Such as `start`.
        message: In words.
        resource_id: What it is about.

    Returns:
        The body.
    """
    update = {
        "file_id": resource_id,
        "extractor_id": "ncsa.wordcount",
        "job_id": job_id,
        "status": f"StatusMessage.{kind}: {message}",
        "start": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S-00:00"),
        "message_type": f"StatusMessage.{kind}",
        "message": message,
    }
    return json.dumps(update).encode()


def declare(channel: BlockingChannel, queue: str, dead_letter_queue: str) -> None:
    """Declare a reply queue and its dead-letter queue as the consumer does."""
    channel.queue_declare(dead_letter_queue, durable=True, arguments=dead_letter_queue_arguments())
    channel.queue_declare(queue, durable=True, arguments=reply_queue_arguments(dead_letter_queue))


def properties(correlation_id: str) -> pika.BasicProperties:
    """Make the properties of pyClowder's updates: persistent, no message id."""
    return pika.BasicProperties(delivery_mode=2, correlation_id=correlation_id)


def fill(lanes: Sequence[Lane], updates: Iterable[tuple[bytes, str]], count: int) -> None:
    """Publish the same messages to the reply queue of each lane, and wait until all of them wait there.

    Args:
        lanes: Whose queues; they must be empty.
        updates: Bodies and correlation ids.
        count: How many there are.

    Raises:
        BenchmarkError: They did not arrive.
    """
    connection = pika.BlockingConnection(pika.URLParameters(lanes[0].urls.amqp_url))
    try:
        channel = connection.channel()
        exchange = f"{lanes[0].name}.fill"
        channel.exchange_declare(exchange, exchange_type="fanout", durable=True)
        for lane in lanes:
            declare(channel, lane.queue, lane.dead_letter_queue)
            channel.queue_bind(lane.queue, exchange)
        with ProgressTeller("publishing") as progress:
            progress.total = count
            for number, (message, correlation_id) in enumerate(updates):
                channel.basic_publish(exchange, "", message, properties(correlation_id))
                if number % 1000 == 0:
                    progress.note(number)
        for lane in lanes:
            _wait_until_filled(channel, lane.queue, count)
        channel.exchange_delete(exchange)
    finally:
        connection.close()


def _wait_until_filled(channel: BlockingChannel, queue: str, count: int) -> None:
    deadline = time.monotonic() + _SETTLE_S
    while (ready := channel.queue_declare(queue, passive=True).method.message_count) != count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{ready:,} messages wait in the queue, {count:,} were published")
        time.sleep(0.05)

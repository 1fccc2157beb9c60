"""Durable messages in pyClowder's form, published to wait for whoever is measured."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pika
from pika.adapters.blocking_connection import BlockingChannel

from benchmarks.workbench import BenchmarkError, Lane
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.models.settings import load_settings
from jobtrail.models.topology import dead_letter_queue_arguments, stream_arguments, stream_names, stream_of

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


def declare(channel: BlockingChannel, streams: Iterable[str], dead_letter_queue: str) -> None:
    """Declare streams of updates and the dead-letter queue as the services do."""
    settings = load_settings()
    arguments = stream_arguments(
        retention_days=settings.stream_retention_days,
        retention_gb=settings.stream_retention_gb,
        segment_mb=settings.stream_segment_mb,
    )
    for stream in streams:
        channel.queue_declare(stream, durable=True, arguments=arguments)
    channel.queue_declare(dead_letter_queue, durable=True, arguments=dead_letter_queue_arguments())


def properties(correlation_id: str) -> pika.BasicProperties:
    """Make the properties of pyClowder's updates: persistent, no message id."""
    return pika.BasicProperties(delivery_mode=2, correlation_id=correlation_id)


def fill(lanes: Sequence[Lane], updates: Iterable[tuple[bytes, str]], count: int) -> None:
    """Publish the same messages to the streams of each lane, and wait until all of them are there.

    Args:
        lanes: Whose streams; all have as many.
        updates: Bodies and correlation ids, which are job ids.
        count: How many there are.

    Raises:
        BenchmarkError: They did not arrive.
    """
    partitions, exchange = lanes[0].partitions, f"{lanes[0].name}.fill"
    with pika.BlockingConnection(pika.URLParameters(lanes[0].urls.amqp_url)) as connection:
        channel = connection.channel()
        channel.exchange_declare(exchange, exchange_type="direct", durable=True)
        for lane in lanes:
            declare(channel, lane.streams, lane.dead_letter_queue)
            for stream, key in zip(lane.streams, stream_names(exchange, partitions), strict=True):
                channel.queue_bind(stream, exchange, key)
        expected = [_kept(channel, lane) + count for lane in lanes]
        with ProgressTeller("publishing") as progress:
            progress.total = count
            for number, (message, job_id) in enumerate(updates):
                key = stream_of(exchange, partitions, job_id)
                channel.basic_publish(exchange, key, message, properties(job_id))
                if number % 1000 == 0:
                    progress.note(number)
        for lane, kept in zip(lanes, expected, strict=True):
            _wait_until_kept(channel, lane, kept)
        channel.exchange_delete(exchange)


def _wait_until_kept(channel: BlockingChannel, lane: Lane, count: int) -> None:
    deadline = time.monotonic() + _SETTLE_S
    while (kept := _kept(channel, lane)) < count:
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{kept:,} messages are in {lane.stream}, {count:,} were published")
        time.sleep(0.05)


def _kept(channel: BlockingChannel, lane: Lane) -> int:
    """Count what a lane's streams keep, read or not; the broker tells it some seconds late."""
    return sum(channel.queue_declare(stream, passive=True).method.message_count for stream in lane.streams)

"""Publishes at a steady rate: `python -m benchmarks.paced_load updates|heartbeats|datasets RATE SECONDS`.

Run as a process.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from uuid import uuid4

import pika

from benchmarks.backlog import JOBS_AT_ONCE, UPDATES_PER_JOB, body, declare, properties
from jobtrail.broker.connection import Connection
from jobtrail.models.settings import Settings, load_settings
from jobtrail.models.topology import HEARTBEAT_EXCHANGE

INSTANCES = 10_000
INSTANCES_PER_EXTRACTOR = 50
SENT = "sent at "
"""What an update's message says, followed by the time in nanoseconds since 1970."""
_MAX_AT_ONCE = 50
"""Messages that are sent in one go after a delay."""

Publication = tuple[str, str, bytes, pika.BasicProperties]
"""Exchange, routing key, body and properties."""


def updates(settings: Settings) -> Iterator[Publication]:
    """Make updates without end, each when it is asked for, telling its time of sending.

    Args:
        settings: For the streams.

    Yields:
        What to publish.
    """
    while True:
        jobs = [str(uuid4()) for _ in range(JOBS_AT_ONCE)]
        for step in range(UPDATES_PER_JOB):
            kind = {0: "start", UPDATES_PER_JOB - 1: "done"}.get(step, "processing")
            for job_id in jobs:
                message = body(job_id, kind, f"{SENT}{time.time_ns()}")
                yield "", settings.reply_to(job_id), message, properties(job_id)


def datasets(settings: Settings) -> Iterator[Publication]:
    """Make the updates of one failing job per dataset without end; the failure tells its time of sending.

    Args:
        settings: For the streams.

    Yields:
        What to publish.
    """
    for number in count():
        job_id = str(uuid4())
        for kind in ("start", "error"):
            message = body(job_id, kind, f"{SENT}{time.time_ns()}", dataset_id(number))
            yield "", settings.reply_to(job_id), message, properties(job_id)


def dataset_id(number: int) -> str:
    """Name a dataset by its number, from 0."""
    return f"dataset-{number}"


def heartbeats(_settings: Settings) -> Iterator[Publication]:
    """Make pyClowder's heartbeats without end, of one instance after another.

    Yields:
        What to publish.
    """
    bodies = [_heartbeat(number) for number in range(INSTANCES)]
    while True:
        for beat in bodies:
            yield HEARTBEAT_EXCHANGE, "", beat, pika.BasicProperties()


def _heartbeat(number: int) -> bytes:
    name = f"bench.extractor{number // INSTANCES_PER_EXTRACTOR}"
    info = {
        "@context": "http://clowder.ncsa.illinois.edu/contexts/extractors.jsonld",
        "name": name,
        "version": "1.0",
        "description": "Counts the words, lines and characters of text files.",
        "author": "A. Person <person@example.org>",
        "contributors": [],
        "contexts": [{"lines": "http://clowder.ncsa.illinois.edu/metadata/wordcount#lines"}],
        "repository": [{"repType": "git", "repUrl": "https://example.org/wordcount.git"}],
        "process": {"file": ["text/*", "application/json"]},
        "external_services": [],
        "dependencies": [],
        "bibtex": [],
        "labels": ["Type/Text"],
    }
    return json.dumps({"id": str(uuid4()), "queue": name, "owner": None, "extractor_info": info}).encode()


async def publish(settings: Settings, source: Iterator[Publication], rate_per_s: float, seconds: float) -> None:
    """Publish at a steady rate; after a delay it catches up.

    Args:
        settings: For the broker.
        source: What to publish.
        rate_per_s: How many per second.
        seconds: How long.
    """
    with pika.BlockingConnection(pika.URLParameters(settings.require_amqp_url())) as connection:
        declare(connection.channel(), settings.reply_streams, settings.dead_letter_queue)
    # Not that connection: it takes twice the processor time for each message.
    async with Connection(settings.require_amqp_url(), "benchmarks.paced_load") as sender:
        channel = await sender.channel()
        begun_at = time.perf_counter()
        for number in range(round(rate_per_s * seconds)):
            ahead_s = begun_at + number / rate_per_s - time.perf_counter()
            if ahead_s > 0 or number % _MAX_AT_ONCE == 0:
                await asyncio.sleep(max(0.0, ahead_s))
            channel.raw.basic_publish(*next(source))


if __name__ == "__main__":
    kind, rate, duration_s = sys.argv[1:]
    own = load_settings()
    kinds = {"updates": updates, "heartbeats": heartbeats, "datasets": datasets}
    asyncio.run(publish(own, kinds[kind](own), float(rate), float(duration_s)))

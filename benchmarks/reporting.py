"""What reporting costs a worker."""

import time
from collections.abc import Iterator
from statistics import median

import pika

from benchmarks.backlog import declare
from benchmarks.figures import Figure, figure_of
from benchmarks.scale import Scale
from benchmarks.workbench import BenchmarkError, Workbench
from jobtrail.publisher import Reporter

FLUSH_S = 60.0


def reporting(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Report progress as fast as the reporter takes it, until all of it is confirmed by the broker.

    Args:
        workbench: The services.
        scale: How much.

    Yields:
        The figures.
    """
    rates: list[float] = []
    calls_us: list[float] = []
    for number in range(scale.rounds):
        lane = workbench.lane("reporter")
        connection = pika.BlockingConnection(pika.URLParameters(lane.urls.amqp_url))
        declare(connection.channel(), lane.streams, lane.dead_letter_queue)
        connection.close()
        workbench.say(f"reporting, round {number + 1} of {scale.rounds}: {scale.updates:,} updates")
        spool = workbench.folder / f"spool-{number}"
        with (
            Reporter(lane.urls.amqp_url, "bench.reporter", reply_queue=lane.stream, spool_path=spool) as reporter,
            reporter.job("5cb2d2d3a4be0f9fd3400001") as job,
        ):
            if not reporter.flush(FLUSH_S):
                raise BenchmarkError("the reporter could not reach the broker")
            took_us = []
            begun_at = time.perf_counter()
            for step in range(scale.updates):
                called_at = time.perf_counter()
                job.progress(f"Step {step} of the work on this file", percent=50)
                took_us.append((time.perf_counter() - called_at) * 1e6)
            if not reporter.flush(FLUSH_S):
                raise BenchmarkError(f"{reporter.unsent:,} updates were not confirmed in time")
            rates.append(scale.updates / (time.perf_counter() - begun_at))
            calls_us.append(median(took_us))
    yield figure_of(rates, "reporting.updates_per_s", "updates/s", "spooled on disk, sent and confirmed, one worker")
    yield figure_of(calls_us, "reporting.call", "µs", "one call of progress(), the median")

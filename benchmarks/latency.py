"""How long an update takes from its publication until others can see it in the database."""

import time
from collections.abc import Iterator, Mapping
from statistics import quantiles
from typing import Any

from pymongo.change_stream import ChangeStream

from benchmarks.figures import Figure, Target, figure_of
from benchmarks.paced_load import SENT
from benchmarks.scale import Scale
from benchmarks.workbench import CONSUMER, BenchmarkError, Lane, MeasuredProcess, Workbench
from jobtrail.store.database import Document

RATE_PER_S = 1000
HIGH_RATE_PER_S = 8000
WATCHED_PER_S = 1000
"""Updates that are watched: at a higher rate not each one, or watching would take the time that it measures."""
WARM_UP_S = 1.5
"""Not counted: the first batches."""
PATIENCE_S = 20.0


def latency(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Publish at a steady rate and watch updates arrive on a change stream, as a live page would.

    Args:
        workbench: The services.
        scale: How long.

    Yields:
        The figures.
    """
    percentiles = _percentiles(workbench, scale, RATE_PER_S)
    words = f"from publish to visible at {RATE_PER_S:,} events/s"
    p99, p50 = [each[98] for each in percentiles], [each[49] for each in percentiles]
    yield figure_of(p99, "latency.p99", "ms", f"{words}: 99 of 100 within", Target("less than", 30))
    yield figure_of(p50, "latency.p50", "ms", "the same: half of them within", Target("less than", 10))
    percentiles = _percentiles(workbench, scale, HIGH_RATE_PER_S)
    words = f"from publish to visible at {HIGH_RATE_PER_S:,} events/s"
    p99, p50 = [each[98] for each in percentiles], [each[49] for each in percentiles]
    yield figure_of(p99, "latency.high_p99", "ms", f"{words}: 99 of 100 within", Target("less than", 100))
    yield figure_of(p50, "latency.high_p50", "ms", "the same: half of them within")


def _percentiles(workbench: Workbench, scale: Scale, rate_per_s: int) -> list[list[float]]:
    """Return the hundredths of the latency in milliseconds, one list per round."""
    lane = workbench.lane("latency")
    counted_s = scale.rounds * scale.latency_window_s
    workbench.say(f"latency: {rate_per_s:,} events/s for {counted_s:g} s")
    arrivals = _watch(workbench, lane, rate_per_s, WARM_UP_S + counted_s)
    first_sent_s = arrivals[0][0]
    windows: list[list[float]] = [[] for _ in range(scale.rounds)]
    for sent_s, latency_ms in arrivals:
        window = int((sent_s - first_sent_s - WARM_UP_S) // scale.latency_window_s)
        if 0 <= window < scale.rounds:
            windows[window].append(latency_ms)
    workbench.drop(lane)
    return [quantiles(window, n=100) for window in windows]


def _watch(workbench: Workbench, lane: Lane, rate_per_s: int, seconds: float) -> list[tuple[float, float]]:
    """Return the watched updates' times of sending and latencies, in seconds and milliseconds."""
    every = rate_per_s // WATCHED_PER_S
    pipeline: list[dict[str, object]] = [
        {"$match": {"operationType": "insert", "fullDocument.seq": {"$mod": [every, 0]}}},
        {"$project": {"fullDocument.message": 1}},
    ]
    events = workbench.client[lane.database]["extractions"]
    load = ("benchmarks.paced_load", "updates", str(rate_per_s))
    with (
        events.watch(pipeline, max_await_time_ms=200) as changes,
        workbench.running(lane, *CONSUMER) as consumer,
    ):
        with workbench.running(lane, *load, str(every / rate_per_s)):
            _arrivals(changes, 1, PATIENCE_S, consumer)  # now the consumer is up
        with workbench.running(lane, *load, str(seconds)):
            return _arrivals(changes, int(WATCHED_PER_S * seconds), seconds + PATIENCE_S, consumer)


def _arrivals(
    changes: ChangeStream[Document], expected: int, timeout_s: float, consumer: MeasuredProcess
) -> list[tuple[float, float]]:
    deadline = time.monotonic() + timeout_s
    arrivals: list[tuple[float, float]] = []
    while len(arrivals) < expected:
        change: Mapping[str, Any] | None = changes.try_next()
        seen_ns = time.time_ns()
        if change is not None:
            sent_ns = int(change["fullDocument"]["message"].removeprefix(SENT))
            arrivals.append((sent_ns / 1e9, (seen_ns - sent_ns) / 1e6))
            continue
        consumer.check()
        if time.monotonic() > deadline:
            raise BenchmarkError(f"only {len(arrivals):,} of {expected:,} updates became visible")
    return arrivals

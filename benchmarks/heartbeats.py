"""What a large fleet's heartbeats cost the monitor."""

import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Figure, Target, figure_of
from benchmarks.paced_load import INSTANCES
from benchmarks.scale import Scale
from benchmarks.workbench import MONITOR, BenchmarkError, Workbench

RATE_PER_S = 1000
PATIENCE_S = 20.0


def heartbeats(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Send the heartbeats of 10,000 instances, each every ten seconds, and read the monitor's processor time.

    Args:
        workbench: The services.
        scale: How long.

    Yields:
        The figures.

    Raises:
        BenchmarkError: The monitor does not keep up.
    """
    lane = workbench.lane("fleet")
    instances = workbench.client[lane.database]["extractor_instances"]
    first_round_s = INSTANCES / RATE_PER_S
    workbench.say(f"heartbeats: {RATE_PER_S:,} per second for {first_round_s + scale.heartbeat_s:g} s")
    with workbench.running(lane, *MONITOR) as monitor:
        _wait(lambda: "extractor_instances" in workbench.client[lane.database].list_collection_names())
        seconds = first_round_s + scale.heartbeat_s + 1  # the load still runs when the last reading is taken
        with workbench.running(lane, "benchmarks.paced_load", "heartbeats", str(RATE_PER_S), str(seconds)) as load:
            _wait(lambda: instances.estimated_document_count() >= INSTANCES, first_round_s + PATIENCE_S)
            begun_at, cpu_s = time.perf_counter(), monitor.cpu_s()
            time.sleep(scale.heartbeat_s)
            share = (monitor.cpu_s() - cpu_s) / (time.perf_counter() - begun_at)
            load.check()
        peak_mb = monitor.peak_memory_mb()
    workbench.drop(lane)
    yield figure_of(
        [100 * share],
        "heartbeats.monitor_cpu",
        "% of a core",
        "the monitor, 1,000 heartbeats/s of 10,000 instances",
        Target("less than", 12),
    )
    yield figure_of([peak_mb], "heartbeats.monitor_memory", "MB", "its resident memory at the most")


def _wait(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise BenchmarkError("the monitor does not keep up with the heartbeats")
        time.sleep(0.05)

"""The consumer's resident memory, whatever the backlog."""

from collections.abc import Iterator

from benchmarks.backlog import fill, large_updates, small_updates
from benchmarks.drain import drain
from benchmarks.figures import Figure, Target, figure_of
from benchmarks.scale import Scale
from benchmarks.workbench import Workbench

LIMIT = Target("less than", 200)


def memory(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Let the consumer take in many small messages, then fewer large ones.

    Args:
        workbench: The services.
        scale: How many.

    Yields:
        The figures.
    """
    backlogs = (
        ("small", scale.small_backlog, small_updates(scale.small_backlog), "small messages"),
        ("large", scale.large_backlog, large_updates(scale.large_backlog), "messages of 1.9 MB"),
    )
    for size, count, updates, words in backlogs:
        lane = workbench.lane(size)
        workbench.say(f"memory: publishing {count:,} {words}")
        fill([lane], updates, count)
        drained = drain(workbench, lane, count, f"consumer, backlog of {count:,} {words}")
        workbench.drop(lane)
        yield figure_of(
            [drained.peak_memory_mb],
            f"memory.{size}",
            "MB",
            f"the consumer's resident memory at the most, backlog of {count:,} {words}",
            LIMIT,
        )
        yield figure_of(
            [drained.events_per_s], f"memory.{size}_events_per_s", "events/s", f"its rate on {count:,} {words}"
        )

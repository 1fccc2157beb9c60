"""How fast the consumer takes in a backlog: alone, as two processes, and beside the two yardsticks."""

from collections.abc import Iterator

from benchmarks.backlog import fill, small_updates
from benchmarks.drain import Drained, drain
from benchmarks.figures import Figure, Target, figure_of
from benchmarks.scale import Scale
from benchmarks.workbench import Workbench

BARE_LOOP = ("benchmarks.bare_loop",)
ONE_AT_A_TIME = ("benchmarks.one_at_a_time",)


def ingest(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Measure the consumer and the bare loop in turns, on the same messages.

    Args:
        workbench: The services.
        scale: How much.

    Yields:
        The figures.
    """
    ours: list[Drained] = []
    bare: list[Drained] = []
    for number in range(scale.rounds):
        lanes = [workbench.lane("consumer"), workbench.lane("bare")]
        workbench.say(f"ingest, round {number + 1} of {scale.rounds}: publishing {scale.ingest_events:,} messages")
        fill(lanes, small_updates(scale.ingest_events), scale.ingest_events)
        sides = [
            lambda lane=lanes[0]: ours.append(drain(workbench, lane, scale.ingest_events, "consumer")),
            lambda lane=lanes[1]: bare.append(drain(workbench, lane, scale.ingest_events, "bare loop", BARE_LOOP)),
        ]
        # Who is second works on warmer caches and a longer journal, so they take turns.
        for measure in sides if number % 2 == 0 else reversed(sides):
            measure()
        for lane in lanes:
            workbench.drop(lane)
    ratios = [mine.events_per_s / other.events_per_s for mine, other in zip(ours, bare, strict=True)]
    yield figure_of(
        [each.events_per_s for each in ours],
        "ingest.events_per_s",
        "events/s",
        "durable messages stored per second by one consumer process",
        Target("at least", 14_000),
    )
    yield figure_of(
        ratios,
        "ingest.to_bare_loop",
        "x",
        "that, compared with a bare loop on the same messages",
        Target("at least", 0.9),
    )
    yield figure_of(
        [each.events_per_s for each in bare], "ingest.bare_loop_events_per_s", "events/s", "the bare loop itself"
    )
    yield figure_of(
        [each.cpu_us for each in ours],
        "ingest.cpu_per_event",
        "µs",
        "the consumer's own processor time",
        Target("less than", 40),
    )
    yield figure_of([each.cpu_us for each in bare], "ingest.bare_loop_cpu_per_event", "µs", "the bare loop's")
    yield figure_of(
        [each.peak_memory_mb for each in ours], "ingest.peak_memory", "MB", "the consumer's resident memory"
    )


def partitions(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Measure one process with one stream, and two processes that share two, in turns.

    Args:
        workbench: The services.
        scale: How much.

    Yields:
        The figures.
    """
    one: list[Drained] = []
    two: list[Drained] = []
    count = scale.ingest_events * 2  # the first seconds, in which the two find each other, do not count
    for number in range(scale.rounds):
        lanes = [workbench.lane("single"), workbench.lane("shared", partitions=2)]
        workbench.say(f"partitions, round {number + 1} of {scale.rounds}: publishing {count:,} messages twice")
        for lane in lanes:
            fill([lane], small_updates(count), count)
        sides = [
            lambda lane=lanes[0]: one.append(drain(workbench, lane, count, "one consumer")),
            lambda lane=lanes[1]: two.append(drain(workbench, lane, count, "two consumers", processes=2)),
        ]
        for measure in sides if number % 2 == 0 else reversed(sides):
            measure()
        for lane in lanes:
            workbench.drop(lane)
    yield figure_of(
        [both.events_per_s / alone.events_per_s for both, alone in zip(two, one, strict=True)],
        "partitions.ratio",
        "x",
        "two processes that share two partitions, compared with one process",
        Target("at least", 1),
    )
    yield figure_of([each.events_per_s for each in two], "partitions.events_per_s", "events/s", "the two together")
    yield figure_of([each.cpu_us for each in two], "partitions.cpu_per_event", "µs", "their processor time")


def one_at_a_time(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Measure the consumer and one that stores message by message in turns.

    Args:
        workbench: The services.
        scale: How much.

    Yields:
        The figures.
    """
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(scale.rounds):
        fast, slow = workbench.lane("consumer"), workbench.lane("single")
        workbench.say(f"one at a time, round {number + 1} of {scale.rounds}")
        few, many = scale.one_at_a_time_events, scale.ingest_events // 2
        fill([slow], small_updates(few), few)
        fill([fast], small_updates(many), many)
        theirs.append(drain(workbench, slow, few, "one message at a time", ONE_AT_A_TIME).events_per_s)
        ours.append(drain(workbench, fast, many, "consumer").events_per_s)
        for lane in (fast, slow):
            workbench.drop(lane)
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    yield figure_of(
        ratios,
        "one_at_a_time.ratio",
        "x",
        "the consumer compared with one that stores message by message",
        Target("at least", 25),
    )
    yield figure_of(theirs, "one_at_a_time.events_per_s", "events/s", "the one that stores message by message")

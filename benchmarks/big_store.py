"""Whether the consumer slows down as the store grows."""

from collections.abc import Iterator

from benchmarks.backlog import UPDATES_PER_JOB, fill, small_updates
from benchmarks.drain import drain
from benchmarks.figures import Figure, Target, figure_of
from benchmarks.scale import Scale
from benchmarks.stored_trail import TrailShape, store_trail
from benchmarks.workbench import Workbench


def big_store(workbench: Workbench, scale: Scale) -> Iterator[Figure]:
    """Measure the consumer on an empty store and on a big one in turns.

    Args:
        workbench: The services.
        scale: How big.

    Yields:
        The figures.
    """
    big = workbench.lane("big")
    workbench.say(f"big store: storing {scale.stored_events:,} events")
    store_trail(workbench, big, TrailShape(jobs=scale.stored_events // UPDATES_PER_JOB))
    count = scale.big_store_events
    rates: dict[str, list[float]] = {"empty": [], "big": []}
    for number in range(scale.rounds):
        workbench.say(f"big store, round {number + 1} of {scale.rounds}: publishing {count:,} messages")
        empty = workbench.lane("empty")
        fill([empty, big], small_updates(count), count)
        sides = [(empty, "empty"), (big, "big")]
        for lane, size in sides if number % 2 == 0 else reversed(sides):
            rates[size].append(drain(workbench, lane, count, f"consumer on the {size} store").events_per_s)
        workbench.drop(empty)
    workbench.drop(big)
    yield figure_of(
        [with_many / with_none for with_many, with_none in zip(rates["big"], rates["empty"], strict=True)],
        "big_store.ratio",
        "x",
        f"with {scale.stored_events:,} events stored, compared with none",
        Target("at least", 0.8),
    )
    yield figure_of(rates["big"], "big_store.events_per_s", "events/s", f"with {scale.stored_events:,} events stored")

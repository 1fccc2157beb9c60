"""How fast a process takes in what waits in its queue."""

import time
from dataclasses import dataclass

from benchmarks.workbench import CONSUMER, BenchmarkError, Lane, Workbench
from cli.progress import ProgressTeller

POLL_S = 0.02
STALL_S = 60.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Drained:
    """How a process took in its backlog."""

    events_per_s: float
    """From the first stored events to the last one."""
    cpu_us: float
    """Its processor time per event in microseconds: less disturbed by other work on the machine than the rate."""
    peak_memory_mb: float


def drain(
    workbench: Workbench,
    lane: Lane,
    count: int,
    what: str,
    program: tuple[str, ...] = CONSUMER,
    *,
    collection: str = "extractions",
) -> Drained:
    """Start a process and wait until it has stored what waits.

    Args:
        workbench: The services.
        lane: Where it works; its queue is filled.
        count: Messages that wait in its queue.
        what: The process, in words.
        program: The module to run, with its arguments.
        collection: Where it stores them.

    Returns:
        How it did.

    Raises:
        BenchmarkError: It failed or stands still.
    """
    workbench.checkpoint()
    events = workbench.client[lane.database][collection]
    stored_before = events.estimated_document_count()
    first: tuple[float, int, float] | None = None
    stored, grew_at = 0, time.monotonic()
    with workbench.running(lane, *program) as process, ProgressTeller(what) as progress:
        progress.total = count
        while stored < count:
            time.sleep(POLL_S)
            process.check()
            now, before = time.monotonic(), stored
            stored = events.estimated_document_count() - stored_before
            if stored > before:
                grew_at = now
                progress.note(stored)
            elif now - grew_at > STALL_S:
                raise BenchmarkError(f"{what} stands still at {stored:,} of {count:,} events")
            if first is None and stored > 0:
                first = (now, stored, process.cpu_s())
        if first is None or first[1] >= count:
            raise BenchmarkError(f"{what} took in {count:,} events too fast to be timed")
        begun_at, begun_with, cpu_s = first
        drained = Drained(
            events_per_s=(count - begun_with) / (now - begun_at),
            cpu_us=(process.cpu_s() - cpu_s) / (count - begun_with) * 1e6,
            peak_memory_mb=process.peak_memory_mb(),
        )
    workbench.say(
        f"{what}: {drained.events_per_s:,.0f} events/s, {drained.cpu_us:.0f} µs of CPU each, "
        f"at most {drained.peak_memory_mb:.0f} MB"
    )
    return drained

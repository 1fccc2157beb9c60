"""How fast processes take in what waits in their streams."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.workbench import CONSUMER, BenchmarkError, Lane, MeasuredProcess, Workbench
from jobtrail.cli.output.progress import ProgressTeller

POLL_S = 0.02
STALL_S = 60.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Drained:
    """How a process, or several, took in their backlog."""

    events_per_s: float
    """From the first stored events to the last one."""
    cpu_us: float
    """Processor time per event in microseconds: less disturbed by other work on the machine than the rate."""
    peak_memory_mb: float
    """Of the largest one."""


def drain(
    workbench: Workbench,
    lane: Lane,
    count: int,
    what: str,
    program: tuple[str, ...] = CONSUMER,
    *,
    collection: str = "extractions",
    processes: int = 1,
) -> Drained:
    """Start a process, or several that share the streams, and wait until they have stored what waits.

    The clock runs from the first stored events to the last one; with several processes, from when each has a stream.

    Args:
        workbench: The services.
        lane: Where it works; its streams are filled.
        count: Messages that wait there.
        what: The process, in words.
        program: The module to run, with its arguments.
        collection: Where it stores them.
        processes: How many processes.

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
    with ExitStack() as running, ProgressTeller(what) as progress:
        measured = [running.enter_context(workbench.running(lane, *program)) for _ in range(processes)]
        progress.total = count
        while stored < count:
            time.sleep(POLL_S)
            for process in measured:
                process.check()
            now, before = time.monotonic(), stored
            stored = events.estimated_document_count() - stored_before
            if stored > before:
                grew_at = now
                progress.note(stored)
            elif now - grew_at > STALL_S:
                raise BenchmarkError(f"{what} stands still at {stored:,} of {count:,} events")
            if first is None and stored > 0 and (processes == 1 or _owners(workbench, lane) == processes):
                first = (now, stored, _cpu_s(measured))
        if first is None or first[1] >= count:
            raise BenchmarkError(f"{what} took in {count:,} events too fast to be timed")
        begun_at, begun_with, cpu_s = first
        drained = Drained(
            events_per_s=(count - begun_with) / (now - begun_at),
            cpu_us=(_cpu_s(measured) - cpu_s) / (count - begun_with) * 1e6,
            peak_memory_mb=max(process.peak_memory_mb() for process in measured),
        )
    workbench.say(
        f"{what}: {drained.events_per_s:,.0f} events/s, {drained.cpu_us:.0f} µs of CPU each, "
        f"at most {drained.peak_memory_mb:.0f} MB"
    )
    return drained


def _cpu_s(processes: Sequence[MeasuredProcess]) -> float:
    return sum(process.cpu_s() for process in processes)


def _owners(workbench: Workbench, lane: Lane) -> int:
    """Count the processes that own a stream by now."""
    streams = {"$in": [f"stream {stream}" for stream in lane.streams]}
    owned = {"_id": streams, "holder": {"$exists": True}}
    return len(workbench.client[lane.database]["leases"].distinct("process.pid", owned))

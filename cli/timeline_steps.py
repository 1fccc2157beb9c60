"""Offsets, steps and silences of a timeline. A step is the time from one event to the next that came in order."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import datetime

from models.job import Event
from models.status import Status

SILENCE_S = 60.0
"""A step of this many seconds or more is shown as silence."""
MOST_HELD = 1000
"""Late events that are held back until a step's end is known; then it is shown without its length."""
_WAITING = (Status.SUBMITTED, Status.RESUBMITTED)


@dataclass(slots=True, frozen=True, kw_only=True)
class Step:
    """One event and the time around it."""

    event: Event
    offset_s: float
    """Seconds since the timeline's first event, by the worker's clock."""
    length_s: float | None
    """Seconds until the next event in order; None for the last one and for late ones."""

    @property
    def is_work(self) -> bool:
        """Whether a worker had the job during this step, so that it counts in the search for the slowest."""
        return self.event.update.state not in _WAITING and not self.event.update.state.is_end


class StepReader:
    """Makes steps of events; holds back as few of them as possible, so that any number of events can be shown.

    Args:
        first_at: The time of the timeline's first event where it is not the first one that will be read.
    """

    def __init__(self, first_at: datetime | None = None) -> None:
        self._first_at = first_at
        self._held: list[Event] = []

    def add(self, event: Event) -> Iterator[Step]:
        """Take the next event.

        Args:
            event: The event.

        Yields:
            The steps that are known by now.
        """
        self._first_at = self._first_at or event.update.event_time
        if not is_late(event) or len(self._held) >= MOST_HELD:
            yield from self._release(None if is_late(event) else event)
        self._held.append(event)

    def rest(self) -> Iterator[Step]:
        """End the timeline.

        Yields:
            The steps that are left.
        """
        yield from self._release(None)

    def _release(self, following: Event | None) -> Iterator[Step]:
        for event in self._held:
            length_s = None
            if following is not None and not is_late(event):
                # Not below 0: the submitter's clock tells fractions of a second, pyClowder's only whole ones.
                length_s = max(0.0, (following.update.event_time - event.update.event_time).total_seconds())
            yield Step(event=event, offset_s=self._offset_s(event), length_s=length_s)
        self._held.clear()

    def _offset_s(self, event: Event) -> float:
        return (event.update.event_time - (self._first_at or event.update.event_time)).total_seconds()


async def read_steps(events: AsyncIterator[Event], first_at: datetime | None = None) -> AsyncIterator[Step]:
    """Make steps of a timeline that has an end.

    Args:
        events: The events, in order.
        first_at: See `StepReader`.

    Yields:
        The steps.
    """
    reader = StepReader(first_at)
    async for event in events:
        for step in reader.add(event):
            yield step
    for step in reader.rest():
        yield step


async def slowest_step(steps: AsyncIterator[Step]) -> Step | None:
    """Find the longest step in which a worker had the job.

    Args:
        steps: The steps.

    Returns:
        The first of the longest; None where none stands out.
    """
    slowest: Step | None = None
    longest_s, shortest_s = 0.0, float("inf")
    async for step in steps:
        if step.length_s is None or not step.is_work:
            continue
        shortest_s = min(shortest_s, step.length_s)
        if step.length_s > longest_s:
            slowest, longest_s = step, step.length_s
    return slowest if longest_s > shortest_s else None


def is_late(event: Event) -> bool:
    """Whether an event changed nothing because it came too late."""
    return event.placement is not None and event.placement.late

"""Offsets, steps and silences of a timeline. A step is the time from one event to the next that came in order."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from jobtrail.models.jobs.job import Event, Gap

SILENCE_S = 60.0
"""A step of this many seconds or more is shown as silence."""
MAX_HELD = 1000
"""Late events that are held back until a step's end is known; then it is shown without its length."""
_MAX_GAPS = 5
S = TypeVar("S")


def gap_words(gaps: Sequence[Gap]) -> str:
    """Say which updates are missing.

    Args:
        gaps: The gaps.

    Returns:
        Such as `updates 4-6, 9`.
    """
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in gaps[:_MAX_GAPS]]
    more = f" and {len(gaps) - _MAX_GAPS} more gaps" if len(gaps) > _MAX_GAPS else ""
    one = len(gaps) == 1 and gaps[0][0] == gaps[0][1]
    return f"update{'' if one else 's'} {', '.join(shown)}{more}"


@dataclass(slots=True, frozen=True, kw_only=True)
class Step:
    """One event and the time around it."""

    event: Event
    offset_s: float
    """Seconds since the timeline's first event, by the worker's clock."""
    length_s: float | None
    """Seconds until the next event in order; None for the last one and for late ones."""
    ends_attempt: bool = False
    """The next event in order is another attempt's."""

    @property
    def is_work(self) -> bool:
        """Whether a worker had the job during this step."""
        return self.event.update.state.is_running


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
        if not is_late(event) or len(self._held) >= MAX_HELD:
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
            length_s, ends_attempt = None, False
            if following is not None and not is_late(event):
                ends_attempt = _attempt(following) != _attempt(event)
                # Not below 0: the submitter's clock tells fractions of a second, pyClowder's only whole ones.
                length_s = max(0.0, (following.update.event_time - event.update.event_time).total_seconds())
            yield Step(event=event, offset_s=self._offset_s(event), length_s=length_s, ends_attempt=ends_attempt)
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


class SlowestStep(Generic[S]):
    """Finds the slowest of a job's steps in one pass, whatever the steps are."""

    def __init__(self) -> None:
        self._longest: S | None = None
        self._shortest_s = float("inf")
        self.longest_s = 0.0
        """The length of the longest step so far, in seconds; 0 before the first."""

    def add(self, step: S, length_s: float) -> None:
        """Take the next step.

        Args:
            step: The step.
            length_s: Its length in seconds, not below 0.
        """
        self._shortest_s = min(self._shortest_s, length_s)
        if length_s > self.longest_s:
            self._longest, self.longest_s = step, length_s

    @property
    def found(self) -> S | None:
        """The first of the longest steps; None where none stands out, as all are equally long."""
        return self._longest if self.longest_s > self._shortest_s else None


async def slowest_step(steps: AsyncIterator[Step]) -> Step | None:
    """Find the longest step in which a worker had the job.

    Args:
        steps: The steps.

    Returns:
        The first of the longest; None where none stands out.
    """
    slowest = SlowestStep[Step]()
    async for step in steps:
        # A worker that falls silent until another one starts again is not a slow worker.
        if step.length_s is not None and step.is_work and not step.ends_attempt:
            slowest.add(step, step.length_s)
    return slowest.found


def is_late(event: Event) -> bool:
    """Whether an event changed nothing because it came too late."""
    return event.placement is not None and event.placement.late


def _attempt(event: Event) -> int | None:
    return event.placement.attempt if event.placement else None

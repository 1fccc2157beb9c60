"""A job's timeline in few points: enough of its events to draw it, however many there are.

Attempts only grow with the position, and no step within a stretch is longer than the stretch; so reading further
where attempts change and where stretches are long finds the attempts' bounds, the silences and the slowest step.

Dataclasses that are made by the thousand for a page are not frozen: freezing triples the cost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Self

from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.timeline import SlowestStep

MAX_WHOLE = 2000
"""Jobs of so many events are read whole."""
SAMPLED = 1000
"""Evenly spaced events that are read first of a larger job."""
MAX_ROUNDS = 5
"""How often it is read further where that promises most."""
_ENDS = 40
"""Events at either end that are read one by one."""
_STRETCHES_PER_ROUND = 12
_PARTS = 10
"""Into so many parts a round divides a stretch."""


@dataclass(slots=True, kw_only=True)
class Point:
    """An event, as far as it is drawn."""

    position: int
    at: datetime
    """The worker's clock."""
    state: Status
    attempt: int
    late: bool


@dataclass(slots=True, kw_only=True)
class Stretch:
    """From one known event that came in order to the next known one."""

    first: Point
    following: Point
    is_step: bool
    """No event in order lies between the two."""
    length_s: float
    """Seconds, by the worker's clock; not below 0."""

    @property
    def is_work(self) -> bool:
        """Whether a worker had the job meanwhile, and went on with it."""
        return self.first.state.is_running and self.first.attempt == self.following.attempt


@dataclass(slots=True, frozen=True, kw_only=True)
class Outline:
    """What is known of a job's events. Make it with `of`."""

    event_count: int
    """How many events there are."""
    points: Sequence[Point]
    """The known ones, in order."""
    stretches: Sequence[Stretch]
    slowest: Stretch | None
    """The longest known step of work; None where none stands out."""
    complete: bool
    """Nothing that is not known could be a longer step."""

    @classmethod
    def of(cls, event_count: int, points: Sequence[Point]) -> Self:
        """Make it of what was read.

        Args:
            event_count: How many events there are.
            points: The known ones, by position.
        """
        stretches = list(_stretches(points))
        slowest = SlowestStep[Stretch]()
        for stretch in stretches:
            if stretch.is_step and stretch.is_work:
                slowest.add(stretch, stretch.length_s)
        bound_s = max((stretch.length_s for stretch in stretches if not stretch.is_step), default=0.0)
        return cls(
            event_count=event_count,
            points=points,
            stretches=stretches,
            slowest=slowest.found,
            complete=bound_s <= slowest.longest_s,
        )

    @property
    def whole(self) -> bool:
        """Whether all events are known."""
        return len(self.points) == self.event_count


def first_positions(event_count: int) -> Sequence[int]:
    """Choose which events of a job to read first.

    Args:
        event_count: How many there are.

    Returns:
        Their positions, in order.
    """
    if event_count <= MAX_WHOLE:
        return range(1, event_count + 1)
    evenly = (1 + number * (event_count - 1) // (SAMPLED - 1) for number in range(SAMPLED))
    return sorted({*evenly, *range(1, _ENDS + 1), *range(event_count - _ENDS + 1, event_count + 1)})


def next_positions(outline: Outline) -> Sequence[int]:
    """Choose which events to read next.

    Args:
        outline: What is known so far.

    Returns:
        Their positions, in order; empty when no more need be known.
    """
    if outline.whole:
        return []
    known = {point.position for point in outline.points}
    unknown = partial(_spread, known)
    longest_s = outline.slowest.length_s if outline.slowest else 0.0
    promising = [
        stretch
        for stretch in outline.stretches
        if not stretch.is_step and (_changes_attempt(stretch) or stretch.length_s > longest_s)
    ]
    promising.sort(key=lambda stretch: (_changes_attempt(stretch), stretch.length_s), reverse=True)
    chosen = {
        position
        for stretch in promising[:_STRETCHES_PER_ROUND]
        for position in unknown(stretch.first.position + 1, stretch.following.position)
    }
    # All known ones at the end may be late: then the end came before them.
    last = next((point.position for point in reversed(outline.points) if not point.late), 0)
    return sorted(chosen.union(unknown(last + 1, outline.event_count + 1)))


def _spread(known: set[int], begin: int, end: int) -> Sequence[int]:
    """Choose positions that are not known, evenly, so that a stretch falls into parts."""
    left = [position for position in range(begin, end) if position not in known]
    if len(left) < _PARTS:
        return left
    return [left[number * len(left) // _PARTS] for number in range(1, _PARTS)]


def _stretches(points: Sequence[Point]) -> Iterator[Stretch]:
    """Connect what came in order; the late ones between say only whether there is something unknown."""
    in_order = [(index, point) for index, point in enumerate(points) if not point.late]
    for (index, first), (following_index, following) in pairwise(in_order):
        is_step = following_index - index == following.position - first.position
        length_s = max(0.0, (following.at - first.at).total_seconds())
        yield Stretch(first=first, following=following, is_step=is_step, length_s=length_s)


def _changes_attempt(stretch: Stretch) -> bool:
    return stretch.first.attempt != stretch.following.attempt

"""The attempts of a job, from its outline."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from jobtrail.models.jobs.outline import Point
from jobtrail.models.jobs.status import Status

MAX_TOLD = 12
"""With more attempts than this, those in the middle are shown together."""
_TOLD_AT_FIRST = 4


@dataclass(slots=True, frozen=True, kw_only=True)
class Attempt:
    """An attempt, or several that are shown together."""

    first: int
    """The attempt's number, from 1."""
    last: int
    """The same; a larger one where several are shown together."""
    position: int
    """Its first event."""
    begins_at: datetime
    heard_at: datetime
    """Its latest update: its end, if there is one."""
    outcome: Status | None
    """How it ended; None where that is unknown, or it still runs."""
    going_on: bool
    """It is the latest one, and has not ended."""

    @property
    def told_s(self) -> float:
        """Seconds from its first to its latest update."""
        return max(0.0, (self.heard_at - self.begins_at).total_seconds())


def attempts_of(points: Sequence[Point]) -> Sequence[Attempt]:
    """List the attempts."""
    found = list(_each(points))
    if len(found) <= MAX_TOLD:
        return found
    after = len(found) - (MAX_TOLD - _TOLD_AT_FIRST - 1)
    first, last = found[_TOLD_AT_FIRST], found[after - 1]
    together = Attempt(
        first=first.first,
        last=last.last,
        position=first.position,
        begins_at=first.begins_at,
        heard_at=last.heard_at,
        outcome=None,
        going_on=False,
    )
    return [*found[:_TOLD_AT_FIRST], together, *found[after:]]


def _each(points: Sequence[Point]) -> Iterator[Attempt]:
    in_order = [point for point in points if not point.late and point.attempt > 0]
    newest = in_order[-1].attempt if in_order else 0
    for number, group in groupby(in_order, key=lambda point: point.attempt):
        of_attempt = list(group)
        end = _end(of_attempt)
        yield Attempt(
            first=number,
            last=number,
            position=of_attempt[0].position,
            begins_at=of_attempt[0].at,
            heard_at=(end or of_attempt[-1]).at,
            outcome=end.state if end else None,
            going_on=end is None and number == newest,
        )


def _end(of_attempt: Sequence[Point]) -> Point | None:
    ends = [point for point in of_attempt if point.state.is_end or point.state is Status.RESUBMITTED]
    if len(ends) > 1 and ends[-1].state is Status.CANCELLED:
        return ends[-2]  # it was cancelled in the queue, after this attempt
    return ends[-1] if ends else None

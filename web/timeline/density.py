"""Where in time a job's events are: columns of equal width on the timeline's scale."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from jobtrail.web.timeline.layout import TimelineChart
from jobtrail.web.timeline.scale import WIDTH

COLUMNS = 125
_WIDTH = WIDTH / COLUMNS


@dataclass(slots=True, frozen=True, kw_only=True)
class DensityColumn:
    """A part of the timeline's width with the events in it."""

    x: float
    width: float
    position: int
    """The first event in it."""
    events: int
    """How many are in it; estimated where not all events are known."""
    share: float
    """Of the fullest column's events, above 0 and at most 1."""
    begins_s: float
    """Seconds after the beginning."""
    ends_s: float


def density(chart: TimelineChart, event_count: int) -> Sequence[DensityColumn]:
    """Count the events along the timeline. Those of a stretch that is not known closer are spread over it evenly."""
    counts = [0.0] * COLUMNS
    first: dict[int, int] = {}
    for span, (begin, end) in zip(chart.spans, pairwise(chart.places), strict=True):
        position, column = span.first.position, _column(begin)
        # What comes after the last event in order came late.
        events = span.events if span.following else event_count - position + 1
        last = column if span.is_step else _column(end)
        first.setdefault(column, position)
        if column == last:
            counts[column] += events
            continue
        for each in range(column, last + 1):
            begun = max(0.0, each * _WIDTH - begin) / (end - begin)
            ended = min(1.0, ((each + 1) * _WIDTH - begin) / (end - begin))
            counts[each] += events * (ended - begun)
            first.setdefault(each, position + min(events - 1, round(events * begun)))
    most = max(counts)
    return [
        DensityColumn(
            x=number * _WIDTH,
            width=_WIDTH,
            position=first[number],
            events=max(1, round(count)),
            share=count / most,
            begins_s=chart.scale.moment_s(number * _WIDTH),
            ends_s=chart.scale.moment_s((number + 1) * _WIDTH),
        )
        for number, count in enumerate(counts)
        if count > 0
    ]


def _column(x: float) -> int:
    return min(COLUMNS - 1, int(x / _WIDTH))

"""A job's timeline as shapes on a scale: lanes of segments and marks. Nothing is read and nothing is drawn here."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from jobtrail.models.jobs.outline import Outline, Point, Stretch
from jobtrail.models.jobs.status import Status
from jobtrail.web.charts.axes import Tick
from jobtrail.web.timeline.attempts import Attempt, attempts_of
from jobtrail.web.timeline.scale import Scale, make_scale, ticks

MIN_WIDTH = 4.0
"""Narrower segments are drawn together with their neighbours."""
MIN_SLOW_S = 0.01
"""A shorter step is never the slowest one: on the page it would be 0.00 s."""


class Kind(StrEnum):
    """What becomes of a job for a while."""

    QUEUE = "queue"
    """It waits for a worker."""
    WORK = "work"
    """A worker has it."""
    LOST = "lost"
    """The worker was silent until another attempt began."""


@dataclass(slots=True, kw_only=True)
class Span:
    """A stretch on a clock that never goes back, in seconds after the beginning. There are thousands of them."""

    first: Point
    following: Point | None
    """None: it lasts until now, or it is the end."""
    begins_s: float
    ends_s: float
    length_s: float
    """As the workers' clocks have it."""
    is_step: bool
    kind: Kind | None
    """None: the job had ended."""

    @property
    def events(self) -> int:
        """How many events it stands for: its first one, and those up to the following one."""
        return self.following.position - self.first.position if self.following else 1


@dataclass(slots=True, frozen=True, kw_only=True)
class TimelineSegment:
    """A step, or neighbouring steps that are too short to be drawn apart, or that are not known one by one."""

    x: float
    width: float
    kind: Kind
    position: int
    """The event that it begins with."""
    events: int
    """How many events it stands for."""
    begins_s: float
    """Seconds after the beginning."""
    length_s: float
    """Its real length, by the workers' clocks."""
    open: bool
    """It still goes on."""
    slowest: bool
    """It is the slowest step."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Mark:
    """An event that is marked by itself: an end, or one that came late."""

    x: float
    position: int
    state: Status
    late: bool
    at_s: float
    """Seconds after the beginning; below 0 for a late one from before."""


@dataclass(slots=True, frozen=True, kw_only=True)
class TimelineRow:
    """The queue's row, or that of an attempt."""

    attempt: Attempt | None
    """None: the queue."""
    segments: Sequence[TimelineSegment]
    """From left to right."""
    marks: Sequence[Mark]


@dataclass(slots=True, frozen=True, kw_only=True)
class Squeeze:
    """A silence that is drawn shorter than it was."""

    x: float
    width: float
    length_s: float


@dataclass(slots=True, frozen=True, kw_only=True)
class TimelineChart:
    """The whole timeline."""

    begins_at: datetime
    length_s: float
    """From its beginning to its end."""
    scale: Scale
    lanes: Sequence[TimelineRow]
    squeezes: Sequence[Squeeze]
    ticks: Sequence[Tick]
    spans: Sequence[Span]
    """What the lanes are made of; the last one is that of the last event in order."""
    places: Sequence[float]
    """Where each span begins, and where the last one ends."""
    slowest: Span | None
    """The slowest step of work, which may still go on; None where none stands out."""


def lay_out(outline: Outline, *, submitted_at: datetime | None, until: datetime | None) -> TimelineChart | None:
    """Lay a timeline out."""
    if not outline.points:
        return None
    begins_at = min(outline.points[0].at, submitted_at or outline.points[0].at)
    spans = list(_spans(outline, begins_at, until))
    length_s = spans[-1].ends_s
    scale = make_scale(length_s, [(span.begins_s, span.ends_s) for span in spans if span.is_step])
    places = [*(scale.x(span.begins_s) for span in spans), scale.x(length_s)]
    slowest = _slowest(outline, spans)
    attempts = attempts_of(outline.points)
    segments = _segments(spans, places, attempts, slowest)
    marks = _marks(outline.points, attempts, scale, begins_at)
    return TimelineChart(
        begins_at=begins_at,
        length_s=length_s,
        scale=scale,
        lanes=[
            TimelineRow(attempt=attempt, segments=segments[number], marks=marks[number])
            for number, attempt in enumerate([None, *attempts])
            if attempt is not None or segments[number] or marks[number]
        ],
        squeezes=[
            Squeeze(x=piece.x, width=piece.width, length_s=piece.length_s) for piece in scale.pieces if piece.squeezed
        ],
        ticks=ticks(scale),
        spans=spans,
        places=places,
        slowest=slowest,
    )


def _spans(outline: Outline, begins_at: datetime, until: datetime | None) -> Iterator[Span]:
    first = outline.points[0]
    at_s = (first.at - begins_at).total_seconds()
    if at_s > 0:
        # The submitter's word came after the worker's.
        yield Span(
            first=first, following=first, begins_s=0.0, ends_s=at_s, length_s=at_s, is_step=True, kind=Kind.QUEUE
        )
    for stretch in outline.stretches:
        ends_s = max(at_s, (stretch.following.at - begins_at).total_seconds())
        yield Span(
            first=stretch.first,
            following=stretch.following,
            begins_s=at_s,
            ends_s=ends_s,
            length_s=stretch.length_s,
            is_step=stretch.is_step,
            kind=_kind(stretch),
        )
        at_s = ends_s
    last = outline.stretches[-1].following if outline.stretches else first
    ends_s = at_s if until is None else max(at_s, (until - begins_at).total_seconds())
    yield Span(
        first=last,
        following=None,
        begins_s=at_s,
        ends_s=ends_s,
        length_s=ends_s - at_s,
        is_step=True,
        kind=_kind_after(last.state),
    )


def _kind(stretch: Stretch) -> Kind | None:
    kind = _kind_after(stretch.first.state)
    lost = kind is Kind.WORK and stretch.is_step and stretch.following.attempt > stretch.first.attempt
    return Kind.LOST if lost else kind


def _kind_after(state: Status) -> Kind | None:
    return Kind.QUEUE if state.is_waiting else None if state.is_end else Kind.WORK


def _slowest(outline: Outline, spans: Sequence[Span]) -> Span | None:
    """Choose the longest step; one that goes on counts where it is longer than all before it."""
    work = [span for span in spans[:-1] if span.kind is Kind.WORK]
    if work and spans[-1].kind is Kind.WORK and spans[-1].length_s > max(span.length_s for span in work):
        return spans[-1]
    position = outline.slowest.first.position if outline.slowest else None
    slowest = next((span for span in work if span.first.position == position), None)
    return slowest if slowest and slowest.length_s >= MIN_SLOW_S else None


def _lane_number(attempts: Sequence[Attempt], attempt: int) -> int:
    """Find an attempt's lane; 0 is the queue's."""
    return min(len(attempts), bisect_left(attempts, attempt, key=lambda each: each.last) + 1)


def _segments(
    spans: Sequence[Span], places: Sequence[float], attempts: Sequence[Attempt], slowest: Span | None
) -> Sequence[Sequence[TimelineSegment]]:
    lanes: list[list[_Group]] = [[] for _ in range(len(attempts) + 1)]
    for span, (x, ends_x) in zip(spans, pairwise(places), strict=True):
        if span.kind is None:
            continue
        lane = lanes[0 if span.kind is Kind.QUEUE else _lane_number(attempts, span.first.attempt)]
        group = _Group(first=span, last=span, x=x, ends_x=ends_x, slowest=span is slowest)
        if lane and lane[-1].takes(group):
            lane[-1].last, lane[-1].ends_x = span, ends_x
        else:
            lane.append(group)
    return [[group.segment() for group in lane] for lane in lanes]


@dataclass(slots=True, kw_only=True)
class _Group:
    """Neighbouring spans that are drawn together."""

    first: Span
    last: Span
    x: float
    ends_x: float
    slowest: bool

    def takes(self, other: "_Group") -> bool:
        """Whether another one, next in the lane, is to be drawn together with it, as both are too narrow."""
        width, most = self.ends_x - self.x, MIN_WIDTH if self.first is self.last else 2 * MIN_WIDTH
        return (
            width < most
            and other.ends_x - other.x < MIN_WIDTH
            and other.x - self.ends_x < MIN_WIDTH
            and self.first.kind is other.first.kind
            and not (self.slowest or other.slowest or other.first.following is None)
        )

    def segment(self) -> TimelineSegment:
        """Make it a segment."""
        first, last = self.first, self.last
        alone = first is last
        return TimelineSegment(
            x=self.x,
            width=self.ends_x - self.x,
            kind=first.kind or Kind.WORK,
            position=first.first.position,
            events=first.events if alone else last.first.position + last.events - first.first.position,
            begins_s=first.begins_s,
            length_s=first.length_s if alone else last.ends_s - first.begins_s,
            open=first.following is None,
            slowest=self.slowest,
        )


def _marks(
    points: Iterable[Point], attempts: Sequence[Attempt], scale: Scale, begins_at: datetime
) -> Sequence[Sequence[Mark]]:
    lanes: list[list[Mark]] = [[] for _ in range(len(attempts) + 1)]
    steady_s = 0.0
    for point in points:
        at_s = (point.at - begins_at).total_seconds()
        if not point.late:
            steady_s = max(steady_s, at_s)
            if not (point.state.is_end or point.state is Status.RESUBMITTED):
                continue
        x = scale.x(at_s if point.late else steady_s)
        queued = point.attempt == 0 or point.state in (Status.CANCELLED, Status.SUBMITTED)
        lane = lanes[0 if queued else _lane_number(attempts, point.attempt)]
        # Of late ones that would cover each other the first one is enough.
        if not (point.late and any(mark.late and abs(mark.x - x) < MIN_WIDTH for mark in lane[-5:])):
            lane.append(Mark(x=x, position=point.position, state=point.state, late=point.late, at_s=at_s))
    return lanes

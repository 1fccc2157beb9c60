"""Charts as geometry: columns over time, which a template draws as SVG. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC

from jobtrail.models.jobs.status import END_WORDS, ENDS, Status
from jobtrail.models.times import duration, rfc3339
from jobtrail.operations.figures import Bucket, Figures, Window
from jobtrail.web.charts.axes import Tick, count_scale, duration_scale, duration_text, time_ticks
from jobtrail.web.render import query

WIDTH = 1000
"""Units that a chart is wide; they are stretched to the page."""
HEIGHT = 140
"""Pixels that a chart is high."""
SPARK_HEIGHT = 24
"""Pixels that a sparkline is high."""
_LEAST = 2.0
"""Pixels of what is there at all: one failure among thousands must be seen."""
_MIN_OF_SPARK = 1.0
_GAP = 0.22
"""How much of a column's room is left free."""
_QUIET = (Status.SKIPPED, Status.CANCELLED)


@dataclass(slots=True, frozen=True, kw_only=True)
class Segment:
    """One rectangle of a column."""

    y: float
    """From the plot's top."""
    height: float
    tone: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Column:
    """What stands over one bucket of time."""

    x: float
    """The left end of its rectangles."""
    width: float
    room_x: float
    """The left end of the room that it has."""
    room_width: float
    segments: Sequence[Segment]
    """From the bottom to the top."""
    title: str
    href: str | None
    """Where it leads; None where there is nothing."""
    counted: bool


@dataclass(slots=True, frozen=True, kw_only=True)
class Key:
    """What a colour means."""

    tone: str
    name: str
    value: str


@dataclass(slots=True, frozen=True, kw_only=True)
class Chart:
    """Columns over time."""

    label: str
    """What it shows, in a few words."""
    description: str
    """What is to be seen, for those who can't see it."""
    columns: Sequence[Column]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    keys: Sequence[Key]
    is_empty: bool
    """Nothing is to be drawn."""
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(slots=True, frozen=True, kw_only=True)
class Sparkline:
    """A small chart without axes."""

    label: str
    paths: Sequence[tuple[str, str]]
    """A tone, and the `d` of all that has it."""
    width: int
    """Units: one for each bucket."""
    height: int = SPARK_HEIGHT


def outcome_chart(figures: Figures, extractor: str | None = None) -> Chart:
    """Draw how many jobs ended, by outcome."""
    counts = [_counts(bucket) for bucket in figures.buckets]
    scale = count_scale(max(map(sum, counts)))
    good, quiet, bad = (sum(column) for column in zip(*counts, strict=True))
    keys = [
        Key(tone="good", name="succeeded", value=f"{good:,}"),
        Key(tone="bad", name="failed", value=f"{bad:,}"),
        Key(tone="quiet", name="skipped or cancelled", value=f"{quiet:,}"),
    ]
    stacks = [_stack(each, ("good", "quiet", "bad"), scale[-1]) for each in counts]
    return Chart(
        label=f"Jobs that ended in {figures.window.words}",
        description=", ".join(f"{key.value} {key.name}" for key in keys),
        columns=_columns(figures, stacks, _outcome_words, extractor),
        x_ticks=_time_ticks(figures),
        y_ticks=[Tick(at=_y(value, scale[-1]), text=f"{value:,.0f}") for value in scale],
        keys=keys,
        is_empty=not figures.ended,
    )


def duration_chart(figures: Figures, extractor: str | None = None) -> Chart:
    """Draw how long jobs took: the median, and on top of it up to the time within which 95 % were done."""
    pairs = [_p50_p95(bucket) for bucket in figures.buckets]
    is_empty = figures.p50_s is None
    # Where nothing is drawn, no mark stands between the two ends: there the words stand that say so.
    scale = (0, 1) if is_empty else duration_scale(max(p95 for _, p95 in pairs))
    keys = [
        Key(tone="run", name="median", value=_told(figures.p50_s)),
        Key(tone="run-soft", name="95 % within", value=_told(figures.p95_s)),
    ]
    stacks = [_stack((p50, p95 - p50), ("run", "run-soft"), scale[-1]) for p50, p95 in pairs]
    return Chart(
        label=f"How long jobs took in {figures.window.words}",
        description=", ".join(f"{key.name} {key.value}" for key in keys),
        columns=_columns(figures, stacks, _duration_words, extractor),
        x_ticks=_time_ticks(figures),
        y_ticks=[Tick(at=_y(value, scale[-1]), text=duration_text(value, scale[1])) for value in scale],
        keys=keys,
        is_empty=is_empty,
    )


def sparkline(figures: Figures) -> Sparkline:
    """Draw how many jobs ended, small."""
    counts = [_counts(bucket) for bucket in figures.buckets]
    most = max(1, *map(sum, counts))
    paths: dict[str, list[str]] = {"good": [], "quiet": [], "bad": []}
    for place, each in enumerate(counts):
        for segment in _stack(each, tuple(paths), most, SPARK_HEIGHT, _MIN_OF_SPARK):
            # A page may hold a hundred of them, so each is as short as it can be.
            paths[segment.tone].append(f"M{place} {segment.y:.3g}h.8v{segment.height:.3g}h-.8z")
    return Sparkline(
        label=f"{figures.ended:,} {'job' if figures.ended == 1 else 'jobs'} ended in {figures.window.words}",
        paths=[(tone, "".join(drawn)) for tone, drawn in paths.items() if drawn],
        width=len(counts),
    )


def _columns(
    figures: Figures, stacks: Iterable[Sequence[Segment]], words: Callable[[Bucket], str], extractor: str | None
) -> Sequence[Column]:
    room = WIDTH / len(figures.buckets)
    return [
        Column(
            x=round((place + _GAP / 2) * room, 2),
            width=round(room * (1 - _GAP), 2),
            room_x=round(place * room, 2),
            room_width=round(room, 2),
            segments=segments,
            title=f"{_span_words(bucket, figures.window)}: {words(bucket) if bucket.tally else 'not counted yet'}",
            href=_jobs_of(bucket, extractor) if segments else None,
            counted=bucket.tally is not None,
        )
        for place, (bucket, segments) in enumerate(zip(figures.buckets, stacks, strict=True))
    ]


def _stack(
    values: Sequence[float], tones: Sequence[str], most: float, height: float = HEIGHT, least: float = _LEAST
) -> Sequence[Segment]:
    """Put rectangles on each other; what is there at all can be seen, at the cost of the highest one."""
    true = [value / most * height for value in values]
    heights = [max(each, least) if each else 0.0 for each in true]
    excess = sum(heights) - max(sum(true), least * sum(each > 0 for each in heights))
    heights[heights.index(max(heights))] -= excess
    segments, top = [], height
    for each, tone in zip(heights, tones, strict=True):
        if each:
            top -= each
            segments.append(Segment(y=round(max(0.0, top), 2), height=round(each, 2), tone=tone))
    return segments


def _counts(bucket: Bucket) -> tuple[int, int, int]:
    ended = bucket.tally.ended if bucket.tally else {}
    quiet = sum(ended.get(status, 0) for status in _QUIET)
    return ended.get(Status.SUCCEEDED, 0), quiet, ended.get(Status.ERROR, 0)


def _p50_p95(bucket: Bucket) -> tuple[float, float]:
    if bucket.tally is None:
        return 0.0, 0.0
    return bucket.tally.durations.within_s(0.5) or 0.0, bucket.tally.durations.within_s(0.95) or 0.0


def _outcome_words(bucket: Bucket) -> str:
    ended = bucket.tally.ended if bucket.tally else {}
    return ", ".join(f"{ended[status]:,} {name}" for status, name in END_WORDS.items() if ended.get(status)) or "none"


def _duration_words(bucket: Bucket) -> str:
    jobs = bucket.tally.durations.count if bucket.tally else 0
    p50_s, p95_s = _p50_p95(bucket)
    told = f"median {duration(p50_s)}, 95 % within {duration(p95_s)}, {jobs:,} {'job' if jobs == 1 else 'jobs'}"
    return told if jobs else "none"


def _span_words(bucket: Bucket, window: Window) -> str:
    since, until = bucket.since.astimezone(UTC), bucket.until.astimezone(UTC)
    day = "" if window is Window.HOUR else f"{since.day} {since:%b} "
    return f"{day}{since:%H:%M} to {until:%H:%M} UTC"


def _jobs_of(bucket: Bucket, extractor: str | None) -> str:
    since, until = rfc3339(bucket.since), rfc3339(bucket.until)
    return f"/jobs{query(extractor=extractor, status=ENDS, since=since, until=until)}"


def _time_ticks(figures: Figures) -> Sequence[Tick]:
    return time_ticks(figures.window, figures.buckets[0].since, figures.buckets[-1].until)


def _told(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _y(value: float, most: float) -> float:
    return round(HEIGHT * (1 - value / most), 2)

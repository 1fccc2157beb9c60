"""The shapes of charts as plain data, which templates draw as SVG: columns over time, and sparklines. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobtrail.web.charts.axes import Tick

WIDTH = 1000
"""Units that a chart is wide; they are stretched to the page."""
HEIGHT = 140
"""Pixels that a chart is high."""
SPARK_HEIGHT = 24
"""Pixels that a sparkline is high."""
_MIN_HEIGHT = 2.0
"""Pixels of the smallest rectangle: one failure among thousands must be visible."""
_MIN_SPARK_HEIGHT = 1.0
_GAP = 0.22
"""The share of a column's room that is left free."""


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
    """Where it leads; None for an empty column."""
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
    """What the drawing shows, for screen readers."""
    columns: Sequence[Column]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    keys: Sequence[Key]
    is_empty: bool
    """There is nothing to draw."""
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(slots=True, frozen=True, kw_only=True)
class Sparkline:
    """A small chart without axes."""

    label: str
    paths: Sequence[tuple[str, str]]
    """A tone, and the `d` of everything that has it."""
    width: int
    """Units: one for each bucket."""
    height: int = SPARK_HEIGHT


def column(
    place: int, places: int, segments: Sequence[Segment], *, title: str, href: str, counted: bool = True
) -> Column:
    """Make one of so many columns of equal width; it is a link if there is something in it."""
    room = WIDTH / places
    return Column(
        x=round((place + _GAP / 2) * room, 2),
        width=round(room * (1 - _GAP), 2),
        room_x=round(place * room, 2),
        room_width=round(room, 2),
        segments=segments,
        title=title,
        href=href if segments else None,
        counted=counted,
    )


def stack(
    values: Sequence[float],
    tones: Sequence[str],
    most: float,
    *,
    height: float = HEIGHT,
    min_height: float = _MIN_HEIGHT,
) -> Sequence[Segment]:
    """Put rectangles on each other; the smallest stay visible, at the cost of the highest one."""
    true = [value / most * height for value in values]
    heights = [max(each, min_height) if each else 0.0 for each in true]
    excess = sum(heights) - max(sum(true), min_height * sum(each > 0 for each in heights))
    heights[heights.index(max(heights))] -= excess
    segments, top = [], height
    for each, tone in zip(heights, tones, strict=True):
        if each:
            top -= each
            segments.append(Segment(y=round(max(0.0, top), 2), height=round(each, 2), tone=tone))
    return segments


def y_ticks(scale: Sequence[float], text: Callable[[float], str]) -> Sequence[Tick]:
    """Place the marks of a vertical axis that begins at 0."""
    return [Tick(at=round(HEIGHT * (1 - value / scale[-1]), 2), text=text(value)) for value in scale]


def count_text(value: float) -> str:
    """Write a mark of an axis of counts."""
    return f"{value:,.0f}"


def spark(label: str, columns: Sequence[Sequence[int]], tones: Sequence[str]) -> Sparkline:
    """Draw a small chart of columns, each with a count for every tone."""
    most = max(1, *map(sum, columns))
    paths: dict[str, list[str]] = {tone: [] for tone in tones}
    for place, counts in enumerate(columns):
        for segment in stack(counts, tones, most, height=SPARK_HEIGHT, min_height=_MIN_SPARK_HEIGHT):
            # A page may hold a hundred of them, so each is as short as it can be.
            paths[segment.tone].append(f"M{place} {segment.y:.3g}h.8v{segment.height:.3g}h-.8z")
    return Sparkline(
        label=label, paths=[(tone, "".join(drawn)) for tone, drawn in paths.items() if drawn], width=len(columns)
    )

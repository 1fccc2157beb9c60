"""Counts of dead letters as geometry, which templates draw as SVG. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobtrail.models.dead_letters.dead_letter import CauseGroup, LetterState
from jobtrail.models.times import rfc3339
from jobtrail.store.dead_letters.causes import HOURS_SHOWN
from jobtrail.web.charts.axes import Tick, count_scale
from jobtrail.web.charts.charts import HEIGHT, SPARK_HEIGHT, WIDTH, Chart, Column, Segment, Sparkline
from jobtrail.web.render import query

_MIN_SHARE = 0.6
"""Percent of a bar that is drawn for what is there at all."""
_TICK_EVERY_HOURS = 6
_GAP = 0.22
_TONE = "warn"
STATE_WORDS = {
    LetterState.OPEN: "open",
    LetterState.HELD: "about to be sent",
    LetterState.REPLAYED: "sent, outcome awaited",
    LetterState.RESOLVED: "resolved",
    LetterState.FAILED_AGAIN: "failed again",
    LetterState.UNKNOWN: "outcome unknown",
    LetterState.DISCARDED: "discarded",
}
"""The states in words."""
_STATE_TONES = {
    LetterState.OPEN: "warn",
    LetterState.UNKNOWN: "warn-soft",
    LetterState.REPLAYED: "run",
    LetterState.RESOLVED: "good",
    LetterState.FAILED_AGAIN: "bad",
    LetterState.DISCARDED: "quiet",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Share:
    """A part of a bar."""

    name: str
    tone: str
    count: int
    x: float
    """Percent from the left."""
    width: float
    """Percent."""


def shares(parts: Sequence[tuple[str, str, int]], total: int | None = None) -> Sequence[Share]:
    """Lay parts of a whole beside each other; what is there at all can be seen.

    Args:
        parts: Name, tone and count of each, from the left.
        total: The whole, where that is more than its parts.

    Returns:
        The parts, those of which there are none too.
    """
    whole = max(total or 0, sum(count for _, _, count in parts), 1)
    widths = [max(_MIN_SHARE, 100 * count / whole) if count else 0.0 for _, _, count in parts]
    if sum(widths) > 100:
        widths = [width * 100 / sum(widths) for width in widths]
    drawn, x = [], 0.0
    for (name, tone, count), width in zip(parts, widths, strict=True):
        drawn.append(Share(name=name, tone=tone, count=count, x=round(x, 2), width=round(width, 2)))
        x += width
    return drawn


def state_shares(group: CauseGroup) -> Sequence[Share]:
    """Lay the letters of a group beside each other, by state.

    Args:
        group: The group.

    Returns:
        The states.
    """
    return shares([(STATE_WORDS[state], tone, group.counts.get(state, 0)) for state, tone in _STATE_TONES.items()])


def hours_spark(hours: Sequence[int]) -> Sparkline:
    """Draw letters per hour, small.

    Args:
        hours: Letters per hour, the latest hour last.

    Returns:
        The sparkline.
    """
    most = max(1, *hours)
    heights = [max(1.5, SPARK_HEIGHT * count / most) if count else 0.0 for count in hours]
    bars = [
        f"M{place} {SPARK_HEIGHT - height:.3g}h.8v{height:.3g}h-.8z" for place, height in enumerate(heights) if height
    ]
    return Sparkline(
        label=f"{_letters(sum(hours))} captured in the last {len(hours)} hours",
        paths=[(_TONE, "".join(bars))] if bars else [],
        width=len(hours),
    )


def hours_chart(group: CauseGroup, now: datetime) -> Chart:
    """Draw the letters of a group per hour.

    Args:
        group: The group, with its hours.
        now: The present, which lies in the latest hour.

    Returns:
        The chart.
    """
    hours = group.hours
    scale = count_scale(max(1, *hours))
    since = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=len(hours) - 1)
    begins = [since + timedelta(hours=place) for place in range(len(hours))]
    ticks = [
        Tick(at=round(100 * place / len(hours), 2), text=f"{begin:%H:%M}" if begin.hour else f"{begin.day} {begin:%b}")
        for place, begin in enumerate(begins)
        if begin.hour % _TICK_EVERY_HOURS == 0
    ]
    total = _letters(sum(hours))
    return Chart(
        label=f"Letters captured in the last {len(hours)} hours",
        description=f"{total} in the last {len(hours)} hours",
        columns=[_column(group.id, place, begins[place], count, scale[-1]) for place, count in enumerate(hours)],
        x_ticks=ticks,
        y_ticks=[Tick(at=round(HEIGHT * (1 - mark / scale[-1]), 2), text=f"{mark:,.0f}") for mark in scale],
        keys=[],
        is_empty=not any(hours),
    )


def _column(group_id: str, place: int, begin: datetime, count: int, most: float) -> Column:
    room = WIDTH / HOURS_SHOWN
    height = max(2.0, HEIGHT * count / most) if count else 0.0
    until = begin + timedelta(hours=1)
    address = query(group=group_id, since=rfc3339(begin), until=rfc3339(until))
    return Column(
        x=round((place + _GAP / 2) * room, 2),
        width=round(room * (1 - _GAP), 2),
        room_x=round(place * room, 2),
        room_width=round(room, 2),
        segments=[Segment(y=round(HEIGHT - height, 2), height=round(height, 2), tone=_TONE)] if count else [],
        title=f"{begin.day} {begin:%b %H:%M} to {until:%H:%M} UTC: {_letters(count)}",
        href=f"/dead-letters/letters{address}" if count else None,
        counted=True,
    )


def _letters(count: int) -> str:
    return f"{count:,} {'letter' if count == 1 else 'letters'}"

"""Charts of dead letters: by state, and per hour. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobtrail.models.dead_letters.dead_letter import CauseGroup, LetterState
from jobtrail.models.times import rfc3339
from jobtrail.store.dead_letters.causes import HOURS_SHOWN
from jobtrail.web.charts.axes import count_scale, time_ticks
from jobtrail.web.charts.shapes import Chart, Column, Sparkline, column, count_text, spark, stack, y_ticks
from jobtrail.web.render import query

_MIN_SHARE = 0.6
"""Percent of a bar that the smallest part takes, so that it is visible."""
_TICK_EVERY = timedelta(hours=6)
_TONES = ("warn",)
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
    """Lay parts of a whole (name, tone, count) beside each other; even the smallest stays visible."""
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
    """Lay the letters of a group beside each other, by state."""
    return shares([(STATE_WORDS[state], tone, group.counts.get(state, 0)) for state, tone in _STATE_TONES.items()])


def hours_spark(hours: Sequence[int]) -> Sparkline:
    """Draw letters per hour, small, the latest hour last."""
    return spark(
        f"{_letters(sum(hours))} captured in the last {len(hours)} hours", [[count] for count in hours], _TONES
    )


def hours_chart(group: CauseGroup, now: datetime) -> Chart:
    """Draw the letters of a group per hour; `now` lies in the latest one."""
    hours = group.hours
    scale = count_scale(max(1, *hours))
    since = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=len(hours) - 1)
    return Chart(
        label=f"Dead letters captured in the last {len(hours)} hours",
        description=f"{_letters(sum(hours))} in the last {len(hours)} hours",
        columns=[
            _column(group.id, place, since + timedelta(hours=place), count, scale[-1])
            for place, count in enumerate(hours)
        ],
        x_ticks=time_ticks(since, since + timedelta(hours=len(hours)), _TICK_EVERY),
        y_ticks=y_ticks(scale, count_text),
        keys=[],
        is_empty=not any(hours),
    )


def _column(group_id: str, place: int, begin: datetime, count: int, most: float) -> Column:
    until = begin + timedelta(hours=1)
    return column(
        place,
        HOURS_SHOWN,
        stack((count,), _TONES, most),
        title=f"{begin.day} {begin:%b %H:%M} to {until:%H:%M} UTC: {_letters(count)}",
        href=f"/dead-letters/letters{query(group=group_id, since=rfc3339(begin), until=rfc3339(until))}",
    )


def _letters(count: int) -> str:
    return f"{count:,} {'dead letter' if count == 1 else 'dead letters'}"

"""Axes: round steps, the marks at their multiples, and how the marks are written. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_MAX_STEPS = 4
_COUNT_STEPS = tuple(digit * 10**power for power in range(12) for digit in (1, 2, 5))
_DURATION_STEPS_S = (
    *(digit * 10**power / 1000 for power in range(4) for digit in (1, 2, 5)),
    *(10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
    *(86400 * days for days in (1, 2, 7, 14, 30, 90, 180, 365)),
)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (0.001, "ms"))
_MIN_IN_SECONDS_S = 0.1
"""Steps from this one on are written in seconds: 0.5 s, 1 s, not 500 ms, 1000 ms."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Tick:
    """A mark on an axis."""

    at: float
    """Pixels from the plot's top, or a place on its width: percent in a chart, units in a timeline."""
    text: str
    major: bool = True
    """It is shown on narrow screens too."""


def count_scale(most: int) -> Sequence[float]:
    """Choose the marks of an axis of counts: from 0 to at least `most`, in equal whole steps."""
    return _scale(most, _round_step(most / _MAX_STEPS, _COUNT_STEPS))


def duration_scale(most_s: float) -> Sequence[float]:
    """Choose the marks of an axis of durations: from 0 to at least `most_s`, in equal steps that people use."""
    return _scale(most_s, round_duration_s(most_s / _MAX_STEPS))


def round_duration_s(least_s: float) -> float:
    """Choose a step that people use, such as 15 minutes, and that is not below `least_s`."""
    return _round_step(least_s, _DURATION_STEPS_S)


def multiples(step: float, first: float, last: float) -> Sequence[float]:
    """List the multiples of a step that lie between two values."""
    return [number * step for number in range(math.ceil(first / step), math.floor(last / step) + 1)]


def duration_text(seconds: float, step_s: float) -> str:
    """Write a mark of an axis of durations in the unit of its steps, such as `0`, `20 ms`, `0.5 s`, `90 s`, `1.5 h`."""
    if not seconds:
        return "0"
    unit_s = max(step_s, 1) if step_s >= _MIN_IN_SECONDS_S else step_s
    size, unit = next((size, unit) for size, unit in _UNITS if unit_s >= size)
    return f"{round(seconds / size, 2):g} {unit}"


def time_ticks(since: datetime, until: datetime, every: timedelta) -> Sequence[Tick]:
    """Choose the marks of a time axis in UTC, placed in percent; midnight is written as the date."""
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    first_s, last_s = ((at - midnight).total_seconds() for at in (since, until))
    return [
        Tick(
            at=round(100 * (at_s - first_s) / (last_s - first_s), 2),
            text=_time_text(midnight + timedelta(seconds=at_s)),
        )
        for at_s in multiples(every.total_seconds(), first_s, last_s)
    ]


def _time_text(moment: datetime) -> str:
    return f"{moment:%H:%M}" if moment.hour or moment.minute else f"{moment.day} {moment:%b}"


def _round_step(least: float, steps: Sequence[float]) -> float:
    """Choose the first step that is not below `least`, or else a multiple of the last one."""
    return next((step for step in steps if step >= least), math.ceil(least / steps[-1]) * steps[-1])


def _scale(most: float, step: float) -> Sequence[float]:
    """List the multiples of a step from 0 on; two at least."""
    return [step * number for number in range(max(1, math.ceil(most / step)) + 1)]

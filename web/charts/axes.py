"""The marks on the axes of charts: round numbers, durations that people use, round times. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobtrail.operations.figures import Window

_MAX_STEPS = 4
_DURATION_STEPS_S = (
    *(digit * 10**power / 1000 for power in range(4) for digit in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600 * hours for hours in (1, 2, 3, 6, 12, 24, 48, 120, 240)),
)
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (0.001, "ms"))
_MIN_IN_SECONDS_S = 0.1
"""Steps from this one on are written in seconds: 0.5 s, 1 s, not 500 ms, 1000 ms."""
_TIMES_EVERY = {Window.HOUR: timedelta(minutes=10), Window.DAY: timedelta(hours=4), Window.WEEK: timedelta(days=1)}


@dataclass(slots=True, frozen=True, kw_only=True)
class AxisTick:
    """A mark on an axis."""

    at: float
    """Pixels from the plot's top, or percent of its width from its left."""
    text: str


def count_scale(most: int) -> Sequence[float]:
    """Choose the marks of an axis of counts."""
    least_step = max(1.0, most / _MAX_STEPS)
    power = 10 ** math.floor(math.log10(least_step))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= least_step)
    return _marks(step, math.ceil(most / step))


def duration_scale(most_s: float) -> Sequence[float]:
    """Choose the marks of an axis of durations."""
    fitting = (step for step in _DURATION_STEPS_S if step * _MAX_STEPS >= most_s)
    longest = _DURATION_STEPS_S[-1]
    step = next(fitting, math.ceil(most_s / _MAX_STEPS / longest) * longest)
    return _marks(step, math.ceil(most_s / step))


def duration_text(seconds: float, step_s: float) -> str:
    """Write a mark of an axis of durations in the unit of its steps."""
    if not seconds:
        return "0"
    unit_s = max(step_s, 1) if step_s >= _MIN_IN_SECONDS_S else step_s
    size, unit = next((size, unit) for size, unit in _UNITS if unit_s >= size)
    return f"{round(seconds / size, 2):g} {unit}"


def time_ticks(window: Window, since: datetime, until: datetime) -> Sequence[AxisTick]:
    """Choose the marks of a time axis."""
    every = _TIMES_EVERY[window]
    midnight = since.replace(hour=0, minute=0)
    moment = midnight + math.ceil((since - midnight) / every) * every
    ticks = []
    while moment <= until:
        at = round(100 * ((moment - since) / (until - since)), 2)
        text = f"{moment.day} {moment:%b}" if window is Window.WEEK else f"{moment:%H:%M}"
        ticks.append(AxisTick(at=at, text=text))
        moment += every
    return ticks


def _marks(step: float, steps: int) -> Sequence[float]:
    return [step * count for count in range(max(1, steps) + 1)]

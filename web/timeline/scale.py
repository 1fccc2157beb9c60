"""From time to place: a scale on which long silences are shortened, and its ticks."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jobtrail.models.jobs.timeline import SILENCE_S
from jobtrail.web.charts.axes import Tick, multiples, round_duration_s

WIDTH = 1000.0
"""What is drawn reaches from 0 to this."""
MIN_SQUEEZED = 70.0
"""A squeezed silence is at least so wide; there is room for its length in words."""
SQUEEZED_SHARE = 0.1
"""Only silences that are a larger share of the whole are squeezed."""
GREATEST_ZOOM = 20.0
"""Squeezing silences stretches the rest at most so much, so that no moment passes for the whole."""
_MIN_TOTAL_S = 1.0
_INSTANT_S = 1e-6
"""Clocks don't tell shorter times apart."""
_TICK_DISTANCE = 90.0
_LABEL_WIDTH = 62.0
_MAJOR_DISTANCE = 230.0

Silence = tuple[float, float]
"""From when to when there were no updates, in seconds after the beginning."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Piece:
    """A part of the scale on which a second is everywhere equally wide."""

    begins_s: float
    length_s: float
    x: float
    width: float
    squeezed: bool

    @property
    def ends_s(self) -> float:
        """Where the next piece begins, in seconds after the beginning."""
        return self.begins_s + self.length_s


@dataclass(slots=True, frozen=True, kw_only=True)
class Scale:
    """Maps moments to places."""

    total_s: float
    pieces: Sequence[Piece]

    def x(self, at_s: float) -> float:
        """Return the place of a moment, 0 to `WIDTH`; moments outside are drawn at the edge."""
        at_s = min(max(at_s, 0.0), self.total_s)
        piece = self.pieces[bisect_right(self.pieces, at_s, lo=1, key=lambda piece: piece.begins_s) - 1]
        # Rounded, a share may be a little more than 1.
        return min(WIDTH, piece.x + piece.width * min(1.0, (at_s - piece.begins_s) / piece.length_s))

    def moment_s(self, x: float) -> float:
        """Return the moment at a place, in seconds after the beginning: the inverse of `x`."""
        piece = self.pieces[bisect_right(self.pieces, x, lo=1, key=lambda piece: piece.x) - 1]
        return min(self.total_s, piece.begins_s + piece.length_s * (x - piece.x) / piece.width)


def make_scale(total_s: float, silences: Sequence[Silence]) -> Scale:
    """Make a scale; the silences are in order and do not overlap."""
    total_s = max(total_s, _MIN_TOTAL_S)
    least_s = max(SILENCE_S, SQUEEZED_SHARE * total_s)
    long = [silence for silence in silences if silence[1] - silence[0] >= least_s]
    parts = list(_parts(total_s, long))
    rest_s = sum(ends_s - begins_s for begins_s, ends_s, squeezed in parts if not squeezed)
    if not long or rest_s == 0:
        return Scale(
            total_s=total_s, pieces=[Piece(begins_s=0.0, length_s=total_s, x=0.0, width=WIDTH, squeezed=False)]
        )
    silent_s = sum(ends_s - begins_s for begins_s, ends_s in long)
    rest_width = min(WIDTH - len(long) * MIN_SQUEEZED, rest_s / total_s * WIDTH * GREATEST_ZOOM)
    spare = WIDTH - rest_width - len(long) * MIN_SQUEEZED
    pieces: list[Piece] = []
    for begins_s, ends_s, squeezed in parts:
        length_s = ends_s - begins_s
        width = MIN_SQUEEZED + spare * (length_s / silent_s) if squeezed else rest_width * (length_s / rest_s)
        x = pieces[-1].x + pieces[-1].width if pieces else 0.0
        pieces.append(Piece(begins_s=begins_s, length_s=length_s, x=x, width=width, squeezed=squeezed))
    return Scale(total_s=total_s, pieces=pieces)


def _parts(total_s: float, long: Sequence[Silence]) -> Iterator[tuple[float, float, bool]]:
    """Yield the silences and what is between them."""
    at_s = 0.0
    for begin_s, end_s in long:
        if begin_s - at_s > _INSTANT_S:
            yield at_s, begin_s, False
        yield begin_s, end_s, True
        at_s = end_s
    if total_s - at_s > _INSTANT_S:
        yield at_s, total_s, False


def ticks(scale: Scale) -> Sequence[Tick]:
    """Choose the axis' ticks: round times where they fit, and the two ends."""
    step_s = _step_s(scale)
    end = Tick(at=WIDTH, text=offset_label(scale.total_s, min(step_s, _roundness_s(scale.total_s))))
    chosen = [Tick(at=0.0, text="0")]
    last_major = 0.0
    for x, text in _round_times(scale, step_s):
        if x - chosen[-1].at < _LABEL_WIDTH or end.at - x < _LABEL_WIDTH:
            continue
        major = x - last_major >= _MAJOR_DISTANCE and end.at - x >= _MAJOR_DISTANCE
        last_major = x if major else last_major
        chosen.append(Tick(at=x, text=text, major=major))
    return [*chosen, end]


def _step_s(scale: Scale) -> float:
    """Choose the round time between two ticks."""
    to_scale = next(piece for piece in scale.pieces if not piece.squeezed)
    return round_duration_s(_TICK_DISTANCE * to_scale.length_s / to_scale.width)


def _round_times(scale: Scale, step_s: float) -> Iterator[tuple[float, str]]:
    for piece in scale.pieces:
        if piece.squeezed:
            continue
        for at_s in multiples(step_s, piece.begins_s, piece.ends_s):
            yield scale.x(at_s), offset_label(at_s, step_s)


def _roundness_s(total_s: float) -> float:
    """Choose how precisely the end is written, at least."""
    if total_s >= 86400:
        return 60.0
    return 1.0 if total_s >= 10 or total_s.is_integer() else 0.01


def brief_length(seconds: float) -> str:
    """Write a length in one unit, rounded, where there is little room: `45 s`, `40 min`, `1.9 h`, `12 d`."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            digits = 0 if seconds >= 10 * size else 1
            return f"{round(seconds / size, digits):g} {unit}"
    return f"{seconds:.0f} s"


def offset_label(at_s: float, step_s: float) -> str:
    """Write a time after the beginning, as short as the steps between such times allow.

    Such as `0.25 s`, `30 s`, `1:30`, `2:05:10`; where whole minutes are enough `15 min`, `2:30 h`, `3 d 04:00`.
    """
    digits = next(digits for digits in range(4) if step_s >= 10**-digits or digits == 3)
    if at_s < 60:
        return f"{at_s:.{digits}f} s"
    minutes, seconds = divmod(round(at_s, digits), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    if step_s % 60:
        tail = f"{minutes:02}:{seconds:0{digits + 3 if digits else 2}.{digits}f}"
        if days:
            return f"{days:,} d {hours:02}:{tail}"
        return f"{hours}:{tail}" if hours else tail.removeprefix("0")
    if days:
        return f"{days:,} d {hours:02}:{minutes:02}" if hours or minutes else f"{days:,} d"
    if not hours:
        return f"{minutes} min"
    return f"{hours}:{minutes:02} h" if minutes else f"{hours} h"

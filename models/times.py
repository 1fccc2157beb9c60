"""How times and durations are read and written, for programs and for people."""

import re
from datetime import UTC, datetime, timedelta

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)")


def read_age(text: str) -> timedelta | None:
    """Read an age that a person or a program gave.

    Args:
        text: Such as `30m`, `2h`, `1d`, `1w`.

    Returns:
        The age; None where the text is none.

    Raises:
        OverflowError: It is too long to be reckoned with.
    """
    age = _AGE.fullmatch(text.strip().lower())
    return timedelta(seconds=float(age[1]) * _UNITS_S[age[2]]) if age else None


def read_moment(text: str, now: datetime) -> datetime:
    """Read a time that a person or a program gave: an age or a time.

    Args:
        text: Such as `30m`, `2h`, `1d`, `1w`, `2026-11-22`, `2026-11-22T00:14:36+01:00`; a time without a zone is UTC.
        now: The present.

    Returns:
        The time, UTC.

    Raises:
        ValueError: It is neither.
    """
    try:
        age = read_age(text)
        if age is not None:
            return now - age
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text[:80]!r} is not an age (30m, 2h, 1d, 1w) or a time in ISO 8601") from error


def rfc3339(moment: datetime | None) -> str | None:
    """Write a time for programs: RFC 3339, UTC, milliseconds.

    Args:
        moment: The time, with a zone.

    Returns:
        Such as `2026-11-22T00:14:36.000Z`; None stays None.
    """
    if moment is None:
        return None
    # isoformat is several times faster than strftime, and a timeline may hold 100,000 events.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def clock(moment: datetime) -> str:
    """Write a time for people: UTC, seconds.

    Args:
        moment: The time, with a zone.

    Returns:
        Such as `2026-11-22 00:14:36Z`.
    """
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="seconds") + "Z"


def duration(seconds: float) -> str:
    """Write a duration for people, as short as it stays useful.

    Args:
        seconds: The duration; a negative one keeps its sign.

    Returns:
        Such as `0 s`, `0.35 s`, `12.3 s`, `1 min 12 s`, `2 h 5 min`, `3 d 4 h`.
    """
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 59.95:
        digits = 0 if float(seconds).is_integer() else 1 if seconds >= 10 else 2
        return f"{seconds:.{digits}f} s"
    whole = round(seconds)
    for size, unit, part_size, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size} {unit} {rest} {part}" if rest else f"{whole // size} {unit}"
    return f"{whole} s"


def relative(moment: datetime, now: datetime) -> str:
    """Write how long ago something was.

    Args:
        moment: When it was.
        now: The present.

    Returns:
        Such as `just now`, `3 min ago`, `2 d ago`; clocks that differ a little do no harm.
    """
    seconds = (now - moment).total_seconds()
    if seconds < -60:
        return f"in {_coarse(-seconds)}"
    return "just now" if seconds < 2 else f"{_coarse(seconds)} ago"


def _coarse(seconds: float) -> str:
    whole = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"

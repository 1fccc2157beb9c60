"""Times that somebody typed into a field of a page."""

from datetime import datetime

from jobtrail.models.times import read_moment

WRONG_TIME = "An age (30m, 2h, 1d, 1w) or a time (2026-11-22, 2026-11-22T14:05)."


def typed_time(text: str, now: datetime) -> tuple[datetime | None, str | None]:
    """Read a time."""
    if not text.strip():
        return None, None
    try:
        return read_moment(text, now), None
    except ValueError:
        return None, WRONG_TIME

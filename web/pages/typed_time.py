"""Times in the text fields of pages."""

from datetime import datetime

from jobtrail.models.times import read_moment

WRONG_TIME = "Enter an age (30m, 2h, 1d, 1w) or a time (2026-11-22, 2026-11-22T14:05)."


def typed_time(text: str, now: datetime) -> tuple[datetime | None, str | None]:
    """Read a time or an age; return it, or what is wrong with the text."""
    if not text.strip():
        return None, None
    try:
        return read_moment(text, now), None
    except ValueError:
        return None, WRONG_TIME

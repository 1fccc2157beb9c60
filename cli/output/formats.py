"""How times and durations are read and written."""

from datetime import datetime

from jobtrail.models.errors import SettingError
from jobtrail.models.times import read_age, read_moment


def one_line(text: str) -> str:
    """Make a text of unknown origin fit for one line of a terminal.

    Args:
        text: The text.

    Returns:
        The text with one blank for each run of white space, and without control characters, which fool terminals.
    """
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Replace control characters, which could fool a terminal; line breaks stay.

    Args:
        text: The text.

    Returns:
        The text.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text.expandtabs())


def parse_since(text: str, now: datetime, *, option: str = "--since") -> datetime:
    """Read `--since`: an age or a time.

    Args:
        text: Such as `30m`, `2h`, `1d`, `1w`, `2026-11-22`, `2026-11-22T00:14:36+01:00`; a time without a zone is UTC.
        now: The present.
        option: What to call it where it is wrong.

    Returns:
        The time, UTC.

    Raises:
        SettingError: It is neither.
    """
    try:
        return read_moment(text, now)
    except ValueError as error:
        raise SettingError(f"{option}: {error}") from error


def parse_expiry(text: str, now: datetime) -> datetime:
    """Read `--expires`: how long something lasts.

    Args:
        text: Such as `12h`, `90d`, `52w`.
        now: The present.

    Returns:
        When it ends, UTC.

    Raises:
        SettingError: It is no such time, or ends too late to be written.
    """
    try:
        age = read_age(text)
        if age is not None:
            return now + age
    except OverflowError as error:
        raise SettingError(f"--expires {text[:80]!r} is too long") from error
    raise SettingError(f"--expires must be how long it lasts (12h, 90d, 52w), not {text[:80]!r}")

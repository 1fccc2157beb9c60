"""Reads options that are times, and makes texts safe for a terminal."""

from datetime import datetime

from jobtrail.models.errors import SettingError
from jobtrail.models.times import read_age, read_moment


def one_line(text: str) -> str:
    """Put a text of unknown origin on one line, with control characters replaced."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Replace control characters, which could fool a terminal; line breaks stay."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text.expandtabs())


def parse_since(text: str, now: datetime, *, option: str = "--since") -> datetime:
    """Read an option that is an age such as `30m`, or a time in ISO 8601, by default in UTC; SettingError names it."""
    try:
        return read_moment(text, now)
    except ValueError as error:
        raise SettingError(f"{option}: {error}") from error


def parse_expiry(text: str, now: datetime) -> datetime:
    """Read `--expires`, an age such as `90d`, and return when it ends, UTC."""
    try:
        age = read_age(text)
        if age is not None:
            return now + age
    except OverflowError as error:
        raise SettingError(f"--expires {text[:80]!r} is too long") from error
    raise SettingError(f"--expires must be how long it lasts (12h, 90d, 52w), not {text[:80]!r}")

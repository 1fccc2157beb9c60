"""Texts of unknown origin, made fit for a page: of bounded length, and with nothing in them that can't be seen."""

from dataclasses import dataclass

MAX_AT_ONCE = 320
"""Characters that are shown without opening."""
MAX_LINES = 6
_LONGEST_LINE = 300

_DIRECTIONS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Marks that turn what follows around, themselves unseen: with one of them `gpj.exe` is read as `exe.jpg`."""
_CONTROL: dict[int, str] = {
    # A browser drops control characters, or takes them for mistakes; so they are shown as what can't be shown.
    **dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "\ufffd"),
    **{mark: f"[U+{mark:04X}]" for mark in _DIRECTIONS},
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Words:
    """A text to show."""

    text: str
    """As much of it as the page holds."""
    brief: str | None
    """Its beginning, to be opened; None where it is short."""
    left_out: int
    """How many characters the page does not hold."""


def words(text: str, length: int, *, most_at_once: int = MAX_AT_ONCE, most_lines: int = MAX_LINES) -> Words:
    """Prepare a text."""
    shown = printable(text)
    left_out = max(0, length - len(text))
    lines = shown[: most_at_once + 1].splitlines(keepends=True)
    short = len(shown) <= most_at_once and len(lines) <= most_lines and not left_out
    brief = None if short else "".join(lines[:most_lines])[:most_at_once].rstrip()
    return Words(text=shown, brief=brief, left_out=left_out)


def printable(text: str) -> str:
    """Replace what can't be seen but does something: control characters and marks of direction.

    Line breaks and tabs stay.
    """
    return text if text.isprintable() else text.replace("\r\n", "\n").translate(_CONTROL)


def telling_line(text: str) -> str:
    """Choose the line of an error's text that says most: the first one; of a traceback the last."""
    text = text.strip()
    is_traceback = text.startswith("Traceback (most recent call last)")
    lines = printable(text[-_LONGEST_LINE:] if is_traceback else text[:_LONGEST_LINE]).splitlines()
    return lines[-1 if is_traceback else 0].strip() if lines else ""

"""Normalizes errors, so that those with one cause are equal: ids, numbers and paths are not part of a cause."""

import re

MAX_CAUSE_LENGTH = 300
"""Characters of a normalized error."""
_READ_LENGTH = 2000
"""Characters of an error that are read."""
_ANYTHING = re.compile(r"[0-9/\\]")
_FOLDS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE), "<url>"),
    (re.compile(r"(?<![\w<])(?:[A-Za-z]:)?(?:[/\\][\w.@~+-]+){2,}[/\\]?"), "<path>"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    # Hexadecimal ids: long enough to be no word, and with a digit among the letters.
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{12,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<n>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "<n>"),
)


def normalized_error(text: str) -> str:
    """Normalize an error.

    Args:
        text: The error, of any length.

    Returns:
        One line of at most `MAX_CAUSE_LENGTH` characters; URLs, paths, ids and numbers are replaced by placeholders.
    """
    line = " ".join(text[:_READ_LENGTH].split())
    if _ANYTHING.search(line):
        for pattern, name in _FOLDS:
            line = pattern.sub(name, line)
    return line[:MAX_CAUSE_LENGTH]

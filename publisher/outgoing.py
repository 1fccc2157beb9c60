"""One update on its way to the broker."""

from dataclasses import dataclass

MAX_SHORT_BYTES = 255
"""AMQP's short strings, such as routing keys and correlation ids, have at most this many bytes."""


@dataclass(slots=True, frozen=True, kw_only=True)
class OutgoingUpdate:
    """One encoded update with the properties it is published with; the same however often it is sent."""

    message_id: str
    """By which a receiver recognises an update that was sent twice because a confirm was lost."""
    routing_key: str
    """The reply queue; updates go to the default exchange."""
    correlation_id: str | None
    timestamp: int
    """Seconds since the epoch, as AMQP's `timestamp` property."""
    body: bytes
    droppable: bool
    """Whether a full spool may drop it: true for progress, never for a start, an end or a retry."""


@dataclass(slots=True, frozen=True)
class Spooled:
    """An update and its place in the spool."""

    row_id: int
    update: OutgoingUpdate


def fits_short_string(text: str) -> bool:
    """Tell whether AMQP can carry a text as a routing key or a correlation id.

    Args:
        text: The text.

    Returns:
        Whether it can be written in UTF-8, in at most 255 bytes.
    """
    try:
        return len(text.encode()) <= MAX_SHORT_BYTES
    except UnicodeEncodeError:
        return False


def encodable(text: str) -> str:
    r"""Make a text that UTF-8 and JSON can carry.

    Args:
        text: Any text; Python's names of files in odd encodings contain lone surrogates.

    Returns:
        The text, with lone surrogates written as `\udcff`.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()

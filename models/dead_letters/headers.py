"""The headers of a dead letter: why it could not be processed, where it came from, what it was before a replay.

Versions before 0.2 put such letters into the dead-letter queue, where they may still wait. Now the services store
theirs directly, and only what a replay sends has headers of ours.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

REASON_HEADER = "jobtrail-reason"
"""A `models.dead_letters.reasons.DeadLetterReason`."""
ERROR_HEADER = "jobtrail-error"
QUEUE_HEADER = "jobtrail-queue"
EXCHANGE_HEADER = "jobtrail-exchange"
ROUTING_KEY_HEADER = "jobtrail-routing-key"
RECEIVED_AT_HEADER = "jobtrail-received-at"
"""When it was first taken from its queue: RFC 3339, UTC."""
SEQ_HEADER = "jobtrail-seq"
"""Its place in its queue's order of arrival."""

REPLAY_HEADER = "jobtrail-replay"
"""The id of the replay that brought the message back."""
LETTER_HEADER = "jobtrail-letter"
"""The id of the dead letter that it was."""

OUR_HEADERS = (
    REASON_HEADER,
    ERROR_HEADER,
    QUEUE_HEADER,
    EXCHANGE_HEADER,
    ROUTING_KEY_HEADER,
    RECEIVED_AT_HEADER,
    SEQ_HEADER,
    REPLAY_HEADER,
    LETTER_HEADER,
)
"""A message that is sent again goes without them."""
MAX_ERROR_LENGTH = 2000
_LETTER_ID_LENGTH = 24


def dead_letter_headers(
    *,
    reason: str,
    error: str,
    queue: str,
    exchange: str,
    routing_key: str,
    received_at: datetime,
    seq: int | None = None,
) -> dict[str, object]:
    """Make the headers of a dead letter as versions before 0.2 put it into its queue.

    Args:
        reason: Why it could not be processed.
        error: What exactly was wrong, in words.
        queue: The queue it was taken from.
        exchange: The exchange it had been published to; empty for the default exchange.
        routing_key: The routing key it had been published with.
        received_at: When it was taken from the queue.
        seq: Its place in the queue's order of arrival, where that is counted.

    Returns:
        The AMQP headers.
    """
    headers: dict[str, object] = {
        REASON_HEADER: reason,
        ERROR_HEADER: error[:MAX_ERROR_LENGTH],
        QUEUE_HEADER: queue,
        EXCHANGE_HEADER: exchange,
        ROUTING_KEY_HEADER: routing_key,
        RECEIVED_AT_HEADER: received_at.astimezone(UTC).isoformat(timespec="milliseconds"),
    }
    if seq is not None:
        headers[SEQ_HEADER] = seq
    return headers


def text_header(headers: Mapping[str, object], name: str) -> str | None:
    """Read a header that should be a text.

    Args:
        headers: The message's headers.
        name: Which.

    Returns:
        The text; None where it is missing, blank, or something else.
    """
    value = headers.get(name)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) and value else None


def letter_header(headers: Mapping[str, object]) -> str | None:
    """Read the id of the letter that a replayed message was; None where the header holds none.

    Args:
        headers: The message's headers.

    Returns:
        The id.
    """
    text = text_header(headers, LETTER_HEADER)
    return text if text is not None and len(text) == _LETTER_ID_LENGTH else None

"""The dead letters of bad heartbeats."""

from jobtrail.broker.properties import decode
from jobtrail.heartbeat.inbox import Reject
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterKind
from jobtrail.models.dead_letters.headers import REPLAY_HEADER, letter_header, text_header
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.dead_letters.refused import refused_letter
from jobtrail.models.settings import Settings

_STUB_BYTES = 4096


def letter_of(reject: Reject, settings: Settings) -> DeadLetter:
    """Make the dead letter of a bad heartbeat.

    Its key is made of the message, all of it, and the minute in which it came. So one that is redelivered after a crash
    is stored at most a second time, and of a sender who repeats the same bytes one dead letter a minute is kept.
    """
    delivery = reject.delivery
    properties = decode(delivery.raw)
    headers = properties.headers or {}
    return refused_letter(
        queue=settings.heartbeat_queue,
        reason=reject.reason,
        error=reject.error,
        body=delivery.body,
        properties=delivery.raw,
        exchange=delivery.exchange,
        routing_key=delivery.routing_key,
        received_at=reject.received_at,
        kind=LetterKind.HEARTBEAT,
        seq=0,
        key=f"{settings.heartbeat_queue}/{reject.digest}/{reject.received_at:%Y-%m-%dT%H:%M}",
        message_id=properties.message_id or None,
        correlation_id=properties.correlation_id or None,
        max_body_bytes=settings.max_body_bytes,
        parent=letter_header(headers),
        sent_by=text_header(headers, REPLAY_HEADER),
    )


def stub_of(letter: DeadLetter, refusal: str) -> DeadLetter:
    """Cut a dead letter that the database refuses to one that can be stored for certain, under the same key."""
    return refused_letter(
        queue=letter.cause.queue,
        reason=DeadLetterReason.UNSTORABLE,
        error=refusal,
        body=letter.body[:_STUB_BYTES],
        properties=b"",
        exchange="",
        routing_key="",
        received_at=letter.captured_at,
        kind=LetterKind.HEARTBEAT,
        seq=0,
        key=letter.key,
        message_id=None,
        correlation_id=None,
        max_body_bytes=0,
    )

"""The dead letter of a message that a service of ours refuses. It is stored at once, without any queue in between."""

from datetime import datetime

from jobtrail.models.dead_letters.body import extractor_in, job_in, readable_fields, version_in
from jobtrail.models.dead_letters.dead_letter import Cause, DeadLetter, LetterKind, cause_id_of
from jobtrail.models.dead_letters.fingerprint import normalized_error
from jobtrail.models.dead_letters.headers import MAX_ERROR_LENGTH
from jobtrail.models.redaction import redact


def refused_letter(
    *,
    queue: str,
    reason: str,
    error: str,
    body: bytes,
    properties: bytes,
    exchange: str,
    routing_key: str,
    received_at: datetime,
    kind: LetterKind,
    seq: int,
    key: str | None,
    message_id: str | None,
    correlation_id: str | None,
    max_body_bytes: int,
    parent: str | None = None,
    sent_by: str | None = None,
) -> DeadLetter:
    """Make the dead letter of a message that can't be processed.

    Args:
        queue: The queue or stream that it was in.
        reason: A `models.dead_letters.reasons.DeadLetterReason`.
        error: What exactly is wrong, in words.
        body: The message's body, as it came.
        properties: Its properties, as they came.
        exchange: The exchange that it had been published to; empty for the default exchange.
        routing_key: The routing key that it had been published with.
        received_at: When it was taken from the queue.
        kind: What it is.
        seq: Its number in the queue; of an update only, 0 for what is not counted.
        key: By what it is recognised when it comes twice; None where it can't be.
        message_id: Its own message id.
        correlation_id: Its own correlation id.
        max_body_bytes: The largest body that is looked into.
        parent: The letter that it was before it was replayed (`models.dead_letters.headers.letter_header`).
        sent_by: The replay that sent it.

    Returns:
        The letter, ready for `store.dead_letters.refused.write_refused`.
    """
    fields = readable_fields(body, max_body_bytes)
    words = redact(error[:MAX_ERROR_LENGTH])
    cause = Cause(
        queue=queue,
        origin=queue,
        reason=reason,
        error=normalized_error(words),
        extractor_id=extractor_in(fields),
        version=version_in(fields),
    )
    return DeadLetter(
        id="",
        cause_id=cause_id_of(cause, kind),
        cause=cause,
        kind=kind,
        error=words,
        captured_at=received_at,
        happened_at=received_at,
        seq=seq,
        origin_seq=seq if kind is LetterKind.UPDATE else None,
        origin_exchange=exchange,
        origin_routing_key=routing_key,
        job_id=job_in(fields),
        message_id=message_id,
        correlation_id=correlation_id,
        size_bytes=len(body),
        body=body,
        properties=properties,
        key=key,
        parent=parent,
        sent_by=sent_by,
    )

"""Reads a message from a dead-letter queue: its origin, the reason, its kind.

Sources: our own headers (`models.dead_letters.headers`), RabbitMQ's guide on dead lettering (`x-death`, newest death
first), and pyClowder 3.0.8, whose workers publish a job request that they give up on to `error.<queue>`, without a
reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b

from pika import BasicProperties

from jobtrail.broker.properties import changed
from jobtrail.models.dead_letters.body import extractor_in, job_in, readable_fields, version_in
from jobtrail.models.dead_letters.dead_letter import Cause, DeadLetter, LetterKind, cause_id_of
from jobtrail.models.dead_letters.fingerprint import normalized_error
from jobtrail.models.dead_letters.headers import (
    ERROR_HEADER,
    EXCHANGE_HEADER,
    MAX_ERROR_LENGTH,
    QUEUE_HEADER,
    REASON_HEADER,
    RECEIVED_AT_HEADER,
    REPLAY_HEADER,
    ROUTING_KEY_HEADER,
    SEQ_HEADER,
    letter_header,
    text_header,
)
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import MAX_INT64
from jobtrail.models.redaction import redact
from jobtrail.models.settings import Settings
from jobtrail.models.topology import error_queue
from jobtrail.publisher.request import Request

_ERROR_PREFIX = error_queue("")


@dataclass(slots=True, frozen=True, kw_only=True)
class Found:
    """A message that was found in a dead-letter queue."""

    queue: str
    body: bytes
    raw: bytes
    """Its properties, untouched."""
    properties: BasicProperties
    """What they mean."""
    exchange: str
    routing_key: str
    at: datetime


@dataclass(slots=True, frozen=True)
class _Death:
    """Where and why a message failed, according to its headers or its queue."""

    origin: str
    reason: str
    error: str
    at: datetime | None = None
    count: int = 1
    exchange: str = ""
    routing_key: str = ""
    seq: int | None = None


def read_letter(found: Found, settings: Settings) -> DeadLetter:
    """Make a dead letter, whose error and fingerprint `caused` may still complete."""
    headers: Mapping[str, object] = found.properties.headers or {}
    fields = readable_fields(found.body, settings.max_body_bytes)
    death = _our_death(headers) or _broker_death(headers) or _worker_death(found, fields)
    kind = _kind(death, found, fields, settings)
    letter = DeadLetter(
        id="",
        cause_id="",
        cause=Cause(
            queue=found.queue,
            origin=death.origin,
            reason=death.reason,
            error="",
            extractor_id=extractor_in(fields) or (death.origin if kind is LetterKind.REQUEST else ""),
            version=version_in(fields),
        ),
        kind=kind,
        error=redact(death.error[:MAX_ERROR_LENGTH]),
        captured_at=found.at,
        happened_at=death.at or found.at,
        seq=0,
        origin_seq=death.seq,
        origin_exchange=death.exchange,
        origin_routing_key=death.routing_key,
        deaths=death.count,
        job_id=_job_id(fields, kind),
        message_id=found.properties.message_id or None,
        correlation_id=found.properties.correlation_id or None,
        size_bytes=len(found.body),
        body=found.body,
        properties=found.raw,
        parent=letter_header(headers),
        sent_by=text_header(headers, REPLAY_HEADER),
    )
    letter.key = _key(letter)
    return letter


def caused(letter: DeadLetter, *, error: str | None = None, version: str | None = None) -> None:
    """Put a dead letter into its group, with the error and version that the message itself does not state."""
    letter.error = letter.error or redact(error or "")
    letter.cause = replace(
        letter.cause, error=normalized_error(letter.error), version=letter.cause.version or (version or "")
    )
    letter.cause_id = cause_id_of(letter.cause, letter.kind)


def _our_death(headers: Mapping[str, object]) -> _Death | None:
    origin = text_header(headers, QUEUE_HEADER)
    reason = text_header(headers, REASON_HEADER)
    if origin is None or reason is None:
        return None
    return _Death(
        origin,
        reason,
        text_header(headers, ERROR_HEADER) or "",
        at=_moment(text_header(headers, RECEIVED_AT_HEADER)),
        exchange=text_header(headers, EXCHANGE_HEADER) or "",
        routing_key=text_header(headers, ROUTING_KEY_HEADER) or "",
        seq=_count(headers.get(SEQ_HEADER)),
    )


def _broker_death(headers: Mapping[str, object]) -> _Death | None:
    deaths = headers.get("x-death")
    if not isinstance(deaths, list) or not all(isinstance(death, dict) for death in deaths) or not deaths:
        return None
    newest = deaths[0]
    count = sum(_count(death.get("count")) or 0 for death in deaths)
    at = newest.get("time")
    keys = newest.get("routing-keys")
    return _Death(
        text_header(newest, "queue") or "",
        text_header(newest, "reason") or DeadLetterReason.UNSTATED,
        _way(deaths) if len(deaths) > 1 else "",
        at=at if isinstance(at, datetime) else None,
        count=_count(count) or 1,
        exchange=text_header(newest, "exchange") or "",
        routing_key=str(keys[0]) if isinstance(keys, list) and keys else "",
    )


def _way(deaths: Sequence[Mapping[str, object]]) -> str:
    """Describe the path of a message that failed in several places, the first one first."""
    unstated = DeadLetterReason.UNSTATED
    return ", then ".join(f"{each.get('reason', unstated)} in {each.get('queue', '?')}" for each in reversed(deaths))


def _worker_death(found: Found, fields: Mapping[str, object]) -> _Death:
    if found.queue.startswith(_ERROR_PREFIX):
        count = (_count(fields.get("retry_count")) or 0) + 1
        origin = found.queue.removeprefix(_ERROR_PREFIX)
        return _Death(origin, DeadLetterReason.GAVE_UP, "", count=count, routing_key=found.routing_key)
    return _Death("", DeadLetterReason.UNSTATED, "", exchange=found.exchange, routing_key=found.routing_key)


def _kind(death: _Death, found: Found, fields: Mapping[str, object], settings: Settings) -> LetterKind:
    if death.origin == settings.heartbeat_queue:
        return LetterKind.HEARTBEAT
    if death.seq is not None or death.origin in {*settings.reply_streams, *settings.queues_to_bridge}:
        return LetterKind.UPDATE
    if found.queue.startswith(_ERROR_PREFIX) and ({"jobid", "job_id", "host", "datasetId"} & set(fields)):
        return LetterKind.REQUEST
    return LetterKind.OTHER


def _job_id(fields: Mapping[str, object], kind: LetterKind) -> str | None:
    if kind is not LetterKind.REQUEST:
        return job_in(fields)
    if not (fields.get("jobid") or fields.get("job_id")):
        return None  # its worker makes one up each time
    try:
        return Request.parse(fields).job_id
    except DecodeError:
        return None


def _key(letter: DeadLetter) -> str | None:
    """Make the key that recognizes a message that comes twice: a crash repeats what was not acknowledged."""
    body = blake2b(letter.body, digest_size=8)
    if letter.origin_seq is not None:
        return f"{letter.cause.origin}/{letter.origin_seq}/{body.hexdigest()}"
    if letter.message_id is None:
        return None
    # The broker's own count of redeliveries is none of the message's.
    body.update(changed(letter.properties, headers={"x-delivery-count": None}))
    return f"{letter.cause.queue}/{letter.message_id}/{body.hexdigest()}"


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _count(value: object) -> int | None:
    """Return the value if it is a valid count."""
    return value if isinstance(value, int) and 0 < value < MAX_INT64 else None

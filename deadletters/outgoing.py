"""What a replay sends: the bytes of a dead letter, made fit for their target queue."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import pika

from jobtrail.broker.poison import nonsense_in, poison_in
from jobtrail.broker.properties import changed, decode, encode, ids
from jobtrail.broker.sender import Message
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterKind
from jobtrail.models.dead_letters.headers import LETTER_HEADER, OUR_HEADERS, REPLAY_HEADER
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import encode_status_update
from jobtrail.models.settings import FORMER_REPLY_QUEUE, Settings
from jobtrail.publisher.outgoing import fits_short_string
from jobtrail.publisher.request import Request

_BROKERS_HEADERS = (
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
)
_ROUTING_HEADERS = ("CC", "BCC")
"""They would send it to further queues, which have had it already."""
_TAKEN_OFF = (*OUR_HEADERS, *_BROKERS_HEADERS, *_ROUTING_HEADERS)
_PERSISTENT: Final = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class OutgoingLetter:
    """A message that is ready to be sent."""

    letter_id: str
    target: str
    """The queue it goes to; empty if unknown."""
    body: bytes
    properties: bytes
    """As in `Letter`."""
    mark: Message | None = None
    """A status update that shows the replay of a job request in its job's timeline."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Unsendable:
    """A dead letter that no broker accepts as it is."""

    letter_id: str
    detail: str
    """Why, in words."""


def target_of(letter: DeadLetter, target: str | None, settings: Settings) -> str:
    """Choose the queue or stream for a dead letter: `target`, else its origin; empty if that is unknown."""
    origin = letter.cause.origin
    if not target and letter.kind is LetterKind.UPDATE and _is_read_no_more(origin, settings):
        return settings.reply_to(letter.job_id or letter.id)
    return target or origin


def replies(settings: Settings) -> frozenset[str]:
    """Name the queues and streams whose messages are stored as updates."""
    return frozenset({*settings.reply_streams, *settings.queues_to_bridge})


def sent_message_id(letter: DeadLetter) -> str:
    """Return the message id by which the consumer recognizes a replayed update; the body is not needed."""
    return ids(letter.outgoing[1])[0] or f"letter/{letter.id}"


def outgoing(
    letter: DeadLetter, *, replay_id: str, who: str, target: str | None, settings: Settings, correlation_id: str | None
) -> OutgoingLetter | Unsendable:
    """Make the message for a dead letter; `correlation_id` is the one that the submitter gave its job, if known."""
    to = target_of(letter, target, settings)
    if not fits_short_string(to):
        return Unsendable(letter_id=letter.id, detail="its origin is not a valid queue name")
    body, raw = letter.outgoing
    try:
        properties = _properties(letter, raw, replay_id, correlation_id)
    except ValueError as error:
        return Unsendable(letter_id=letter.id, detail=str(error))
    poison = poison_in(properties, to_stream=to in settings.reply_streams) or (nonsense_in(raw) if raw else None)
    if poison is not None:
        return Unsendable(letter_id=letter.id, detail=poison)
    mark = None
    if letter.kind is LetterKind.REQUEST:
        body = _with_fresh_retries(body)
        mark = _mark(letter, body, decode(properties), replay_id=replay_id, who=who, to=to, settings=settings)
    return OutgoingLetter(letter_id=letter.id, target=to, body=body, properties=properties, mark=mark)


def _is_read_no_more(origin: str, settings: Settings) -> bool:
    """Tell whether updates are no longer read from there: a queue of versions before 0.2, or other partitions."""
    if origin in (FORMER_REPLY_QUEUE, settings.reply_queue):
        return True
    partition = re.escape(settings.reply_stream) + r"(\.\d+)?"
    return origin not in settings.reply_streams and re.fullmatch(partition, origin) is not None


def _properties(letter: DeadLetter, raw: bytes, replay_id: str, correlation_id: str | None) -> bytes:
    values: dict[str, object | None] = {
        "delivery_mode": _PERSISTENT,
        "expiration": None,
        "user_id": None,  # the broker refuses a message in another account's name
    }
    own_message_id, own_correlation_id = ids(raw)
    if letter.kind is LetterKind.UPDATE and own_message_id is None:
        values["message_id"] = sent_message_id(letter)
    if letter.kind is LetterKind.REQUEST and own_correlation_id is None:
        values["correlation_id"] = correlation_id
    headers = dict.fromkeys(_TAKEN_OFF) | {REPLAY_HEADER: replay_id, LETTER_HEADER: letter.id}
    return changed(raw, headers=headers, **values)


def _with_fresh_retries(body: bytes) -> bytes:
    """Let the worker count its retries anew: pyClowder keeps the count in the request."""
    try:
        fields = json.loads(body)
    except ValueError:
        return body
    if not isinstance(fields, dict) or not fields.get("retry_count"):
        return body
    return json.dumps(fields | {"retry_count": 0}).encode()


def _mark(
    letter: DeadLetter,
    body: bytes,
    properties: pika.BasicProperties,
    *,
    replay_id: str,
    who: str,
    to: str,
    settings: Settings,
) -> Message | None:
    if letter.job_id is None:
        return None
    try:
        request = Request.parse(body, properties)
    except DecodeError:
        return None
    now = datetime.now(UTC)
    update = encode_status_update(
        extractor_id=letter.cause.extractor_id or to,
        resource_id=request.resource_id,
        job_id=letter.job_id,
        state=Status.SUBMITTED,
        message=f"Replayed to {to} by {who}, out of the dead letters.",
        event_time=now,
        extra={"user_id": request.user_id},
    )
    return Message(
        routing_key=request.reply_to or settings.reply_to(letter.job_id),
        mandatory=False,  # without a queue that takes it the job's timeline lacks this one line
        body=update,
        properties=encode(
            pika.BasicProperties(
                content_type="application/json",
                delivery_mode=_PERSISTENT,
                # The same if it is sent again after a crash: then the consumer stores it once.
                message_id=f"replay/{replay_id}/{letter.id}",
                correlation_id=request.correlation_id,
                timestamp=int(now.timestamp()),
                headers={REPLAY_HEADER: replay_id, LETTER_HEADER: letter.id},
            )
        ),
    )

"""What a replay sends: a letter's bytes, made fit for the queue that they go back to."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pamqp.commands import Basic

from models.dead_letter import LETTER_HEADER, OUR_HEADERS, REPLAY_HEADER
from models.errors import DecodeError
from models.letter import Letter, LetterKind
from models.status import Status
from models.wire import encode_status_update
from publisher.bulk_sender import Message
from publisher.content_header import changed, decode, encode
from publisher.request import Request

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
_PERSISTENT = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class Outgoing:
    """A message that is ready to be sent."""

    letter_id: str
    target: str
    """The queue it goes to; empty where nobody knows one."""
    body: bytes
    properties: bytes
    """As in `Letter`."""
    mark: Message | None = None
    """A status update that shows the replay of a job request in its job's timeline."""


def target_of(letter: Letter, target: str | None) -> str:
    """Tell where a replay sends a letter.

    Args:
        letter: The letter.
        target: The queue that was asked for; None for where it came from.

    Returns:
        The queue; empty where it is not known where the letter came from.
    """
    return target or letter.cause.origin


def sent_message_id(letter: Letter) -> str:
    """Tell by which message id the consumer recognises a status update that was a letter.

    Args:
        letter: The letter; its body is not needed.

    Returns:
        Its own message id; one made of the letter's id where it has none.
    """
    return decode(letter.outgoing[1]).message_id or f"letter/{letter.id}"


def outgoing(
    letter: Letter, *, replay_id: str, who: str, target: str | None, reply_queue: str, correlation_id: str | None
) -> Outgoing:
    """Make what is sent for a letter.

    Args:
        letter: The letter, bytes included.
        replay_id: The replay.
        who: Who asked for it.
        target: The queue it goes to; None for where it came from.
        reply_queue: Where a request's mark goes, if the request names no queue for its updates.
        correlation_id: The mark that the submitter gave its job, where that is known.

    Returns:
        The message.
    """
    body, properties = letter.outgoing
    to = target_of(letter, target)
    values: dict[str, object | None] = {
        "delivery_mode": _PERSISTENT,
        "expiration": None,
        "user_id": None,  # the broker refuses a message in another account's name
    }
    if letter.kind is LetterKind.UPDATE:
        values["message_id"] = sent_message_id(letter)
    if letter.kind is LetterKind.REQUEST and not decode(properties).correlation_id:
        values["correlation_id"] = correlation_id
    headers = dict.fromkeys(_TAKEN_OFF) | {REPLAY_HEADER: replay_id, LETTER_HEADER: letter.id}
    properties = changed(properties, headers=headers, **values)
    mark = None
    if letter.kind is LetterKind.REQUEST:
        body = _with_fresh_retries(body)
        mark = _mark(letter, body, decode(properties), replay_id=replay_id, who=who, to=to, reply_queue=reply_queue)
    return Outgoing(letter_id=letter.id, target=to, body=body, properties=properties, mark=mark)


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
    letter: Letter,
    body: bytes,
    properties: Basic.Properties,
    *,
    replay_id: str,
    who: str,
    to: str,
    reply_queue: str,
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
    headers: Mapping[str, object] = {REPLAY_HEADER: replay_id, LETTER_HEADER: letter.id}
    return Message(
        routing_key=request.reply_to or reply_queue,
        mandatory=False,  # without a queue that takes it the job's timeline lacks this one line
        body=update,
        properties=encode(
            Basic.Properties(
                content_type="application/json",
                delivery_mode=2,
                # The same if it is sent again after a crash: then the consumer stores it once.
                message_id=f"replay/{replay_id}/{letter.id}",
                correlation_id=properties.correlation_id,
                timestamp=now,
                headers=dict(headers),  # type: ignore[arg-type]
            )
        ),
    )

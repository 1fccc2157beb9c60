"""The messages on the wire: status updates, read in every form seen in the field and written in pyClowder's form.

Source of the format: pyClowder 3.0.8 `connectors.RabbitMQHandler.status_update` and captured messages; see
`docs/wire-format.md`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic_core import from_json

from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.status import Status, parse_status
from jobtrail.models.redaction import redact

MAX_ID_LENGTH = 128
"""Characters of a job id; the other ids may be longer (`MAX_NAME_LENGTH`)."""
MAX_NAME_LENGTH = 512
MAX_INT64 = 2**63 - 1


@dataclass(slots=True, kw_only=True)
class StatusUpdate:
    """One update of one job, as a worker sent it, with secrets masked."""

    extractor_id: str
    resource_id: str
    """The wire's `file_id`: a file's or a dataset's id."""
    job_id: str | None
    status: str
    """The wire's `status` text, as received."""
    state: Status
    """What the text means."""
    message: str
    """The text without its prefix."""
    event_time: datetime
    """The worker's clock, UTC; pyClowder's has one-second resolution."""
    user_id: str | None = None
    percent: float | None = None
    """Progress, 0 to 100."""
    producer_id: str | None = None
    """The reporter that sent it; with `sequence` it makes gaps visible."""
    sequence: int | None = None
    """1-based number of the update among those of its producer and job."""
    instance_id: str | None = None
    """The worker process, as in its heartbeats' `id`."""


def load_object(body: bytes, max_bytes: int) -> dict[str, object]:
    """Read a message body as a JSON object.

    Args:
        body: The bytes of the message; UTF-8, or Latin-1 as some senders do.
        max_bytes: The largest body that is read at all.

    Returns:
        The object.

    Raises:
        DecodeError: The body is empty, too large, too deeply nested, not JSON, or not an object.
    """
    if len(body) > max_bytes:
        raise DecodeError(DeadLetterReason.TOO_LARGE, f"{len(body)} bytes; the limit is {max_bytes}")
    if not body.strip():
        raise DecodeError(DeadLetterReason.EMPTY, "the body is empty")
    try:
        value = from_json(body)
    except ValueError as error:
        value = _load_latin1(body, error)
    if not isinstance(value, dict):
        raise DecodeError(DeadLetterReason.NOT_OBJECT, f"the body is a JSON {_json_type(value)}, not an object")
    return value


def _load_latin1(body: bytes, error: ValueError) -> object:
    """Try Latin-1 where the body is not UTF-8; pyClowder's own `_decode_body` does the same."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        try:
            return from_json(body.decode("iso-8859-1"))
        except ValueError as latin1_error:
            error = latin1_error
    reason = DeadLetterReason.TOO_DEEP if "recursion limit" in str(error) else DeadLetterReason.NOT_JSON
    raise DecodeError(reason, str(error)) from error


def decode_status_update(body: bytes, *, max_bytes: int) -> StatusUpdate:
    """Read one status update.

    Args:
        body: The bytes of the message.
        max_bytes: The largest body that is read at all.

    Returns:
        The update, secrets masked.

    Raises:
        DecodeError: The message can't be processed; its reason and detail say why.
    """
    raw = load_object(body, max_bytes)
    status_text = required_text(raw, "status", max_length=None)
    message_type = optional_text(raw, "message_type")
    message = optional_text(raw, "message", max_length=None, blank=True)
    masked = redact(status_text)
    state, words = parse_status(status_text, message_type, message)
    percent = raw.get("percent")
    sequence = raw.get("sequence")
    return StatusUpdate(
        extractor_id=required_text(raw, "extractor_id"),
        resource_id=required_text(raw, "file_id"),
        job_id=optional_text(raw, "job_id", max_length=MAX_ID_LENGTH),
        status=masked,
        state=state,
        # The status repeats the words: where it holds no secret, they don't either.
        message=words if masked is status_text and words in status_text else redact(words),
        event_time=parse_time(raw.get("start")),
        user_id=optional_text(raw, "user_id"),
        percent=None if percent is None else number(percent, "percent", 0, 100),
        producer_id=optional_text(raw, "producer_id"),
        sequence=None if sequence is None else int(number(sequence, "sequence", 1, MAX_INT64)),
        instance_id=optional_text(raw, "instance_id"),
    )


def encode_status_update(
    *,
    extractor_id: str,
    resource_id: str,
    job_id: str,
    state: Status,
    message: str,
    event_time: datetime,
    extra: Mapping[str, object] | None = None,
) -> bytes:
    """Write one status update so that pyClowder's other readers understand it.

    Args:
        extractor_id: The extractor's name.
        resource_id: The file's or dataset's id.
        job_id: The job.
        state: What happened.
        message: In which words.
        event_time: When, with a zone.
        extra: Our own additions: `user_id`, `percent`, `producer_id`, `sequence`, `instance_id`. None values are left
            out.

    Returns:
        The body, JSON in UTF-8.
    """
    message = redact(message)
    fields: dict[str, object] = {
        "file_id": resource_id,
        "extractor_id": extractor_id,
        "job_id": job_id,
        "status": f"{state}: {message}",
        "start": event_time.astimezone(UTC).isoformat(timespec="milliseconds"),
        "message_type": state.value,
        "message": message,
    }
    fields.update({name: value for name, value in (extra or {}).items() if value is not None})
    return json.dumps(fields, ensure_ascii=True).encode()


def parse_time(value: object) -> datetime:
    """Read the wire's `start`: ISO 8601, with or without a zone (then UTC) and fractions of a second.

    Args:
        value: The field's value.

    Returns:
        The time in UTC, cut to the millisecond that MongoDB keeps.

    Raises:
        DecodeError: It is missing, not a text, or not a timestamp.
    """
    if value is None or value == "":
        raise DecodeError(DeadLetterReason.MISSING_FIELD, "start is missing")
    if not isinstance(value, str):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, f"start is a JSON {_json_type(value)}, not a text")
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is not UTC:
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise DecodeError(DeadLetterReason.BAD_TIME, f"start is not a valid timestamp: {value[:80]!r}") from error
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) if moment.microsecond else moment


def required_text(raw: dict[str, object], name: str, max_length: int | None = MAX_NAME_LENGTH) -> str:
    """Read a text field that must be there and not blank.

    Args:
        raw: The JSON object.
        name: The field.
        max_length: Characters at the most; None for no limit.

    Returns:
        The text.

    Raises:
        DecodeError: It is missing, blank, not a text, or too long.
    """
    value = optional_text(raw, name, max_length)
    if value is None:
        raise DecodeError(DeadLetterReason.MISSING_FIELD, f"{name} is missing")
    return value


def optional_text(
    raw: dict[str, object], name: str, max_length: int | None = MAX_NAME_LENGTH, *, blank: bool = False
) -> str | None:
    """Read a text field that may be missing or null.

    Args:
        raw: The JSON object.
        name: The field.
        max_length: Characters at the most; None for no limit.
        blank: Whether a blank text is kept; else it counts as missing.

    Returns:
        The text, or None.

    Raises:
        DecodeError: It is not a text, or too long.
    """
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, f"{name} is a JSON {_json_type(value)}, not a text")
    if max_length is not None and len(value) > max_length:
        raise DecodeError(
            DeadLetterReason.OUT_OF_RANGE, f"{name} has {len(value)} characters; the limit is {max_length}"
        )
    return value if blank or value.strip() else None


def number(value: object, name: str, low: int, high: int) -> float:
    """Check a number.

    Args:
        value: The field's value.
        name: The field, for the error.
        low: The least it may be.
        high: The most it may be.

    Returns:
        The number.

    Raises:
        DecodeError: It is not a number, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, f"{name} is a JSON {_json_type(value)}, not a number")
    if not low <= value <= high:
        raise DecodeError(DeadLetterReason.OUT_OF_RANGE, f"{name} is not between {low} and {high}")
    return value


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}[type(value)]

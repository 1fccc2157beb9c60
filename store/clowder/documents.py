"""Clowder's stored documents as status updates. Pure; what can't be read is told with its reason.

Clowder 1 keeps one document per update, its text as received. Clowder 2 keeps one record per job and its updates beside
it, and takes the status off each update's text; what the updates thereby lost is taken from the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from bson import ObjectId

from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.status import Status, parse_status, status_of_word
from jobtrail.models.jobs.wire import MAX_ID_LENGTH, MAX_NAME_LENGTH, StatusUpdate, parse_time
from jobtrail.models.redaction import redact

MAX_STATUS_BYTES = 3 * 1024 * 1024
"""Longest status text that is imported: an event keeps it twice, and a document holds 16 MiB."""

ClowderDocument = Mapping[str, Any]

_PYCLOWDER_WORDS = {
    "Started processing.": Status.STARTED,
    "Done processing.": Status.SUCCEEDED,
    "Error processing message.": Status.ERROR,
    "Resubmitting message.": Status.RESUBMITTED,
    "Skipped in check_message": Status.SKIPPED,
}
"""What pyClowder 3.0.8's connector itself says, and with which status."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ImportedUpdate:
    """One update of Clowder's, with the id that its event gets: always the same one for the same update."""

    id: str
    update: StatusUpdate


@dataclass(slots=True, frozen=True, kw_only=True)
class RejectedDocument:
    """A document that can't be imported."""

    collection: str
    id: str
    reason: str


def clowder1_update(document: ClowderDocument) -> ImportedUpdate:
    """Read one of Clowder 1's `extractions`.

    Raises `DecodeError`: A field that is needed is missing or wrong.
    """
    status = _status_text(document.get("status"))
    state, message = parse_status(status, None, None)
    update = StatusUpdate(
        extractor_id=_needed(document.get("extractor_id"), "extractor_id"),
        resource_id=_needed(document.get("file_id"), "file_id"),
        job_id=_text(document.get("job_id"), "job_id", MAX_ID_LENGTH),
        status=redact(status),
        state=state,
        message=redact(message),
        event_time=_time(document.get("start"), "start"),
        user_id=_text(document.get("user_id"), "user_id"),
    )
    return ImportedUpdate(id=_event_id("extractions", document.get("_id")), update=update)


def clowder2_updates(
    job_id: str, record: ClowderDocument, documents: Sequence[ClowderDocument]
) -> tuple[list[ImportedUpdate], list[RejectedDocument]]:
    """Read one of Clowder 2's jobs.

    Returns the updates in order, and the documents among them that can't be read. Raises `DecodeError`: the record
    itself can't be read, and so none of its updates.
    """
    pattern = _job_pattern(job_id, record)
    updates: list[ImportedUpdate] = []
    rejected: list[RejectedDocument] = []
    for document in documents:
        try:
            updates.append(_clowder2_update(pattern, document))
        except DecodeError as error:
            reject = RejectedDocument(
                collection="listener_job_updates", id=str(document.get("_id")), reason=redact(str(error))
            )
            rejected.append(reject)
    _restore_status(record, updates)
    _add_submission(job_id, record, pattern, updates)
    _add_end(job_id, record, pattern, updates)
    return updates, rejected


def _job_pattern(job_id: str, record: ClowderDocument) -> StatusUpdate:
    """Make what all updates of one of Clowder 2's jobs have in common."""
    resource, creator = record.get("resource_ref"), record.get("creator")
    if not isinstance(resource, Mapping):
        raise DecodeError(DeadLetterReason.MISSING_FIELD, "resource_ref is missing")
    user = (creator.get("email") or creator.get("id")) if isinstance(creator, Mapping) else None
    return StatusUpdate(
        extractor_id=_needed(record.get("listener_id"), "listener_id"),
        resource_id=_needed(resource.get("resource_id"), "resource_ref.resource_id"),
        job_id=_text(job_id, "_id", MAX_ID_LENGTH),
        status="",
        state=Status.PROCESSING,
        message="",
        event_time=datetime.fromtimestamp(0, UTC),
        user_id=_text(user, "creator"),
    )


def _clowder2_update(pattern: StatusUpdate, document: ClowderDocument) -> ImportedUpdate:
    status = _status_text(document.get("status"))
    state, message = parse_status(status, None, None)
    update = replace(
        pattern,
        status=redact(status),
        state=_PYCLOWDER_WORDS.get(status.strip(), state),
        message=redact(message),
        event_time=_time(document.get("timestamp"), "timestamp"),
    )
    return ImportedUpdate(id=_event_id("listener_job_updates", document.get("_id")), update=update)


def _restore_status(record: ClowderDocument, updates: list[ImportedUpdate]) -> None:
    """Give the latest update the record's status: Clowder 2 sets both `latest_message` and `status` from it."""
    state, latest = _record_status(record), record.get("latest_message")
    if state is None or state is Status.SUBMITTED or not isinstance(latest, str):
        return
    latest = redact(latest)
    for place in range(len(updates) - 1, -1, -1):
        update = updates[place].update
        if update.status == latest:
            if update.state is Status.PROCESSING:
                updates[place] = replace(updates[place], update=replace(update, state=state))
            return


def _add_submission(job_id: str, record: ClowderDocument, pattern: StatusUpdate, updates: list[ImportedUpdate]) -> None:
    created = record.get("created")
    if created is None or any(imported.update.state is Status.SUBMITTED for imported in updates):
        return
    update = replace(pattern, status="SUBMITTED", state=Status.SUBMITTED, event_time=_time(created, "created"))
    updates.insert(0, ImportedUpdate(id=_derived_id("listener_jobs", job_id, "submitted"), update=update))


def _add_end(job_id: str, record: ClowderDocument, pattern: StatusUpdate, updates: list[ImportedUpdate]) -> None:
    """Say that the job has ended where the record says so and no update does."""
    state = _record_status(record)
    if state is None or not state.is_end or any(imported.update.state is state for imported in updates):
        return
    times = (record.get("finished"), record.get("updated"), updates[-1].update.event_time if updates else None)
    ended = next((moment for moment in times if moment is not None), None)
    latest = record.get("latest_message")
    message = redact(latest) if isinstance(latest, str) else ""
    update = replace(
        pattern,
        status=f"{state}: {message}",
        state=state,
        message=message,
        event_time=_time(ended, "finished"),
    )
    updates.append(ImportedUpdate(id=_derived_id("listener_jobs", job_id, "ended"), update=update))


def _record_status(record: ClowderDocument) -> Status | None:
    status = record.get("status")
    return status_of_word(status) if isinstance(status, str) else None


def _event_id(collection: str, raw: object) -> str:
    if isinstance(raw, ObjectId):
        return str(raw)
    if isinstance(raw, str) and ObjectId.is_valid(raw):
        return raw.lower()
    return _derived_id(collection, repr(raw), "")


def _derived_id(collection: str, raw: str, what: str) -> str:
    """Make an event id where Clowder has none of the right form; the same one each time."""
    return blake2b(f"{collection}\0{raw}\0{what}".encode("utf-8", "replace"), digest_size=12).hexdigest()


def _status_text(value: object) -> str:
    if value is None:
        raise DecodeError(DeadLetterReason.MISSING_FIELD, "status is missing")
    if not isinstance(value, str):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, f"status is a {type(value).__name__}, not a text")
    if len(value) > MAX_STATUS_BYTES // 4 and len(value.encode()) > MAX_STATUS_BYTES:
        raise DecodeError(DeadLetterReason.TOO_LARGE, f"status has more than {MAX_STATUS_BYTES} bytes")
    return value


def _needed(value: object, name: str) -> str:
    text = _text(value, name)
    if text is None:
        raise DecodeError(DeadLetterReason.MISSING_FIELD, f"{name} is missing")
    return text


def _text(value: object, name: str, max_length: int = MAX_NAME_LENGTH) -> str | None:
    """Read an id, which Clowder stores as an ObjectId or as a text."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | ObjectId | UUID | int):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, f"{name} is a {type(value).__name__}, not a text")
    text = str(value)
    if len(text) > max_length:
        raise DecodeError(
            DeadLetterReason.OUT_OF_RANGE, f"{name} has {len(text)} characters; the limit is {max_length}"
        )
    return text if text.strip() else None


def _time(value: object, name: str) -> datetime:
    if isinstance(value, datetime):
        # Clowder stores UTC; a date without a zone is one.
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if value is None:
        raise DecodeError(DeadLetterReason.MISSING_FIELD, f"{name} is missing")
    if not isinstance(value, str):
        raise DecodeError(DeadLetterReason.BAD_TIME, f"{name} is not a valid timestamp: {str(value)[:80]}")
    return parse_time(value)

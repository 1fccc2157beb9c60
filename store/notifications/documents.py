"""How outbox entries look as MongoDB documents."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.errors import RecordError
from jobtrail.models.notifications.alert import Alert, AlertKind
from jobtrail.models.notifications.outbox import (
    Body,
    DatasetNews,
    OutboxEntry,
    OutboxState,
    RunSummary,
    Timings,
)
from jobtrail.models.settings import ChannelName
from jobtrail.store.database import Document

_BODY_TYPES: dict[type[Body], str] = {DatasetNews: "news", Alert: "alert", RunSummary: "summary"}


def entry_document(entry: OutboxEntry) -> Document:
    """Make the document of an entry; its `_id` is the entry's key."""
    return {
        "_id": entry.key,
        "channel": entry.channel.value,
        "recipient": entry.recipient,
        "body": {"type": _BODY_TYPES[type(entry.body)], **asdict(entry.body)},
        "cause": entry.cause,
        "created_at": entry.created_at,
        "not_before": entry.not_before,
        "dataset_id": entry.dataset_id,
        "user_id": entry.user_id,
        "state": entry.state.value,
        "attempts": entry.attempts,
        "error": entry.error,
        "sent_at": entry.sent_at,
        "batch": entry.batch,
    }


def entry_from(document: Mapping[str, Any]) -> OutboxEntry:
    """Read an entry."""
    get = document.get
    try:
        return OutboxEntry(
            key=document["_id"],
            channel=ChannelName(document["channel"]),
            recipient=document["recipient"],
            body=_body_from(document["body"]),
            cause=document["cause"],
            created_at=document["created_at"],
            not_before=document["not_before"],
            dataset_id=get("dataset_id"),
            user_id=get("user_id"),
            state=OutboxState(document["state"]),
            attempts=document["attempts"],
            error=get("error"),
            sent_at=get("sent_at"),
            batch=get("batch"),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(f"the outbox entry with _id {document.get('_id')!r} is malformed: {error!r}") from error


def _body_from(document: Mapping[str, Any]) -> Body:
    fields = {name: value for name, value in document.items() if name != "type"}
    match document["type"]:
        case "news":
            return DatasetNews(**fields | {"status": DatasetStatus(fields["status"])})
        case "alert":
            return Alert(**fields | {"kind": AlertKind(fields["kind"])})
        case "summary":
            timings = {name: Timings(**fields[name]) for name in ("api", "database")}
            return RunSummary(**fields | timings)
        case other:
            raise ValueError(f"unknown type of body: {other!r}")

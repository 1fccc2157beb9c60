"""How datasets look as MongoDB documents. The console's own field names are kept; ours stand beside them."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from jobtrail.models.datasets.dataset import (
    OPEN_STATUSES,
    Answer,
    BatchJob,
    BatchJobStatus,
    CreationLog,
    DatasetStatus,
    Group,
    History,
    Level,
    Notification,
    Ruling,
    StatusSource,
    User,
)
from jobtrail.models.errors import RecordError
from jobtrail.store.database import Document

NOTIFICATION_TYPE = "DatasetNotification"
"""What sets our notifications apart from others that the application may keep."""


def open_query(dataset_ids: Collection[str] | None = None) -> Document:
    """Make the query for histories that await an end: Pending or Analyzing.

    `dataset_ids`: only these datasets; None means all.
    """
    query: Document = {"status": {"$in": [status.value for status in OPEN_STATUSES]}}
    return query if dataset_ids is None else {**query, "dataset_id": {"$in": list(dataset_ids)}}


def history_from(document: Mapping[str, Any]) -> History:
    """Read a history."""
    get = document.get
    try:
        answers = {StatusSource(name): answer_from(name, stored) for name, stored in (get("answers") or {}).items()}
        ruling = get("ruling")
        return History(
            key=document["_id"],
            dataset_id=str(document["dataset_id"]),
            group_key=get("wishlist_to_group_id"),
            status=DatasetStatus(document["status"]),
            created_at=_time(document["created_at"]),
            updated_at=_time(get("updated_at") or document["created_at"]),
            error_message=get("error_message"),
            progress=get("progress"),
            answers=answers,
            ruling=Ruling(source=StatusSource(ruling["source"]), reason=ruling["reason"], at=ruling["at"])
            if ruling
            else None,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise RecordError(f"the history with _id {document.get('_id')!r} is malformed: {error!r}") from error


def _time(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is not a date")
    return value


def answer_document(answer: Answer) -> Document:
    """Make the part of a history that keeps one source's last answer; its source is its name there."""
    return {
        "status": answer.status.value if answer.status else None,
        "progress": answer.progress,
        "error_message": answer.error_message,
        "problem": answer.problem,
        "detail": answer.detail,
        "at": answer.at,
        "since": answer.since or answer.at,
    }


def answer_from(source: str, document: Mapping[str, Any]) -> Answer:
    """Read one source's last answer."""
    status = document.get("status")
    return Answer(
        source=StatusSource(source),
        at=document["at"],
        status=DatasetStatus(status) if status else None,
        progress=document.get("progress"),
        error_message=document.get("error_message"),
        problem=document.get("problem"),
        detail=document.get("detail"),
        since=document.get("since"),
    )


def group_from(document: Mapping[str, Any]) -> Group:
    """Read a wishlist group; what the console leaves out is empty."""
    get = document.get
    try:
        return Group(
            key=document["_id"],
            name=str(get("name") or document["_id"]),
            training_schedule=get("training_schedule"),
            manual_request=bool(get("is_manual_request")),
            users=[User(id=str(user["id"]), email=user.get("email")) for user in get("users") or ()],
            viewpoints=[str(name) for name in get("viewpoints") or ()],
            required_extractors=[str(name) for name in get("required_extractors") or ()],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"the wishlist group with _id {document.get('_id')!r} is malformed: {error!r}") from error


def log_document(log: CreationLog) -> Document:
    """Make the document of an entry of the creation log."""
    return {
        "wishlist_dataset_history_id": log.history_key,
        "wishlist_to_group_id": log.group_key,
        "dataset_id": log.dataset_id,
        "event_type": log.type.value,
        "from": log.from_status.value,
        "to": log.to_status.value if log.to_status else None,
        "source": log.source.value,
        "message": log.message,
        "run_id": log.run_id,
        "created_at": log.created_at,
    }


def batch_job_document(job: BatchJob) -> Document:
    """Make the document of a batch job."""
    return {
        "dataset_id": job.dataset_id,
        "wishlist_dataset_history_id": job.history_key,
        "wishlist_to_group_id": job.group_key,
        "viewpoint": job.viewpoint,
        "job_id": job.job_id,
        "status": job.status.value,
        "message": job.message,
        "progress": job.progress,
        "created_at": job.created_at,
        "updated_at": job.updated_at,
    }


def batch_job_from(document: Mapping[str, Any]) -> BatchJob:
    """Read a batch job."""
    return BatchJob(
        dataset_id=document["dataset_id"],
        history_key=document["wishlist_dataset_history_id"],
        group_key=document.get("wishlist_to_group_id"),
        viewpoint=document["viewpoint"],
        job_id=document["job_id"],
        status=BatchJobStatus(document["status"]),
        message=document.get("message"),
        progress=document.get("progress"),
        created_at=document["created_at"],
        updated_at=document["updated_at"],
    )


def notification_document(notification: Notification) -> Document:
    """Make the document of a notification; its `_id` is the notification's id."""
    return {
        "_id": notification.id,
        "type": NOTIFICATION_TYPE,
        "user_id": notification.user_id,
        "dataset_id": notification.dataset_id,
        "wishlist_dataset_history_id": notification.history_key,
        "level": notification.level.value,
        "title": notification.title,
        "message": notification.message,
        "read_at": notification.read_at,
        "created_at": notification.created_at,
    }


def notification_from(document: Mapping[str, Any]) -> Notification:
    """Read a notification."""
    return Notification(
        id=document["_id"],
        user_id=document["user_id"],
        dataset_id=document["dataset_id"],
        history_key=document["wishlist_dataset_history_id"],
        level=Level(document["level"]),
        title=document["title"],
        message=document["message"],
        read_at=document.get("read_at"),
        created_at=document["created_at"],
    )

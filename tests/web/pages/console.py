"""Datasets, notifications and messages for the tests of pages, as the console and the reconciler write them."""

from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.notifications.outbox import DatasetNews, OutboxEntry, OutboxState
from jobtrail.models.settings import ChannelName
from jobtrail.store.datasets.console import Console
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.web.pages import trail


def ago(minutes: float) -> datetime:
    return trail.NOW - timedelta(minutes=minutes)


def answer(status: str | None = None, *, since: float = 60, **fields: Any) -> dict[str, Any]:
    return {"status": status, "at": ago(1), "since": ago(since), **fields}


async def add_history(console: Console, dataset_id: str, status: str = "Pending", **fields: Any) -> dict[str, Any]:
    """Add a dataset of the group "Winter shoes"."""
    await console.groups.update_one({"_id": "g-1"}, {"$set": {"name": "Winter shoes"}}, upsert=True)
    document = {
        "_id": ObjectId(),
        "dataset_id": dataset_id,
        "wishlist_to_group_id": "g-1",
        "status": status,
        "error_message": None,
        "created_at": ago(600),
        "updated_at": ago(300),
        **fields,
    }
    await console.histories.insert_one(document)
    return document


async def add_logs(console: Console, history: dict[str, Any], *entries: dict[str, Any]) -> None:
    """Add entries to a dataset's creation log."""
    common = {
        "wishlist_dataset_history_id": history["_id"],
        "wishlist_to_group_id": history["wishlist_to_group_id"],
        "dataset_id": history["dataset_id"],
        "event_type": "Status Update",
        "created_at": ago(5),
    }
    await console.creation_logs.insert_many([common | entry for entry in entries])


async def add_notification(console: Console, dataset_id: str, user: str, minutes: float = 10, **fields: Any) -> str:
    """Add a notification; its id is returned."""
    key = f"{dataset_id}:Complete:{user}"
    document = {
        "_id": key,
        "type": "DatasetNotification",
        "user_id": user,
        "dataset_id": dataset_id,
        "wishlist_dataset_history_id": 1,
        "level": "success",
        "title": "The dataset of Winter shoes is complete",
        "message": f"Dataset {dataset_id} is ready to use.",
        "read_at": None,
        "created_at": ago(minutes),
        **fields,
    }
    await console.notifications.insert_one(document)
    return key


async def add_message(
    console: Console, dataset_id: str, recipient: str, state: OutboxState = OutboxState.SENT, **fields: Any
) -> str:
    """Add a message about a dataset to the outbox; its key is returned."""
    news = DatasetNews(
        dataset_id=dataset_id,
        status=DatasetStatus.COMPLETE,
        wishlist="Winter shoes",
        created_at=ago(600),
        ended_at=ago(10),
    )
    values: dict[str, Any] = {
        "key": f"{dataset_id}:Complete:email:{recipient}",
        "channel": ChannelName.EMAIL,
        "recipient": recipient,
        "body": news,
        "cause": "dataset.completed",
        "created_at": ago(10),
        "not_before": ago(10),
        "dataset_id": dataset_id,
        "state": state,
        "attempts": 1,
        "sent_at": ago(9) if state is OutboxState.SENT else None,
        **fields,
    }
    await OutboxRepository(console.database).insert([OutboxEntry(**values)])
    return str(values["key"])

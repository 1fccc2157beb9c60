"""Fills the console's databases as the console does, and reads them past JobTrail's own code."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient

from jobtrail.models.settings import Settings

Document = dict[str, Any]
GROUP = "Cats"


class Bench:
    """The databases of one test.

    Args:
        client: A blocking client.
        settings: The databases' names.
    """

    def __init__(self, client: MongoClient[Document], settings: Settings) -> None:
        self.trail = client[settings.database]
        self.console = client[settings.console_database]
        self.analyzer = client[settings.analyzer_database]
        self.histories = self.console["wishlist_dataset_histories"]
        self.logs = self.console["wishlist_dataset_creation_logs"]
        self.groups = self.console["wishlist_to_groups"]
        self.notifications = self.console["notifications"]
        self.schedules = self.console["crawler_schedules"]
        self.batch_jobs = self.analyzer["batch_jobs_vps"]
        self.outbox = self.trail["outbox"]

    def let_leases_run_out(self) -> None:
        """As if the time had passed after which what a dead process held is free."""
        past = datetime.now(UTC) - timedelta(seconds=1)
        self.trail["leases"].update_many({"expires_at": {"$exists": True}}, {"$set": {"expires_at": past}})
        self.outbox.update_many({"state": "sending"}, {"$set": {"not_before": past}})

    def group(self, name: str = GROUP, **fields: object) -> object:
        """Make a wishlist group with two users, unless told otherwise; return its `_id`."""
        users = [{"id": "ada", "email": "ada@example.org"}, {"id": "bob", "email": "bob@example.org"}]
        return self.groups.insert_one({"name": name, "users": users, **fields}).inserted_id

    def dataset(self, dataset_id: str, group: object = None, *, status: str = "Pending", **fields: object) -> None:
        """Make a history, an hour old, of a group (by default one that every dataset without a group shares)."""
        if group is None:
            found = self.groups.find_one({"name": GROUP})
            group = found["_id"] if found else self.group()
        at = datetime.now(UTC) - timedelta(hours=1)
        history = {
            "dataset_id": dataset_id,
            "wishlist_to_group_id": group,
            "status": status,
            "error_message": None,
            "created_at": at,
            "updated_at": at,
        }
        self.histories.insert_one({**history, **fields})

    def datasets(self, count: int, *, status: str = "Pending") -> Sequence[str]:
        """Make many histories of one group; return their ids, the oldest first."""
        group, at = self.group(), datetime.now(UTC) - timedelta(days=1)
        ids = [f"d-{number}" for number in range(count)]
        self.histories.insert_many(
            {
                "dataset_id": dataset_id,
                "wishlist_to_group_id": group,
                "status": status,
                "created_at": at,
                "updated_at": at + timedelta(milliseconds=number),
            }
            for number, dataset_id in enumerate(ids)
        )
        return ids

    def history(self, dataset_id: str) -> Document:
        """Read one history."""
        found = self.histories.find_one({"dataset_id": dataset_id})
        assert found is not None
        return found

    def statuses(self) -> Mapping[str, str]:
        """Read every dataset's status."""
        return {document["dataset_id"]: document["status"] for document in self.histories.find()}

    def refuse(self, collection: str, rule: Document, *, database: str = "console") -> None:
        """Let MongoDB refuse documents of a collection that do not fulfil a rule, as a schema of the console's may."""
        owner = {"console": self.console, "analyzer": self.analyzer, "trail": self.trail}[database]
        if collection not in owner.list_collection_names():
            owner.create_collection(collection)
        owner.command("collMod", collection, validator=rule, validationLevel="strict")

    def effects(self) -> Mapping[str, int]:
        """Count everything that a change writes."""
        return {
            "changed": self.histories.count_documents({"ruling": {"$exists": True}}),
            "logs": self.logs.count_documents({"event_type": "Status Update"}),
            "batch_jobs": self.batch_jobs.count_documents({}),
            "notifications": self.notifications.count_documents({}),
            "outbox": self.outbox.count_documents({"body.type": "news"}),
            "schedules": self.schedules.count_documents({"status": "cancelled"}),
            "flags": self.groups.count_documents({"is_manual_request": False}),
        }


NOTHING = {
    "changed": 0, "logs": 0, "batch_jobs": 0, "notifications": 0, "outbox": 0, "schedules": 0, "flags": 0,
}  # fmt: skip
"""What `effects` says while nothing has changed."""

"""The console's and the analyzer's databases: the collections that datasets live in, and their indexes."""

from pymongo import IndexModel

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database, translated

CONSOLE_INDEXES: dict[str, list[IndexModel]] = {
    "wishlist_dataset_histories": [
        IndexModel([("dataset_id", 1)], name="dataset", unique=True),
        IndexModel([("status", 1), ("updated_at", 1), ("_id", 1)], name="status"),
        IndexModel(
            [("updated_at", -1), ("_id", -1)],
            name="error",
            partialFilterExpression={"error_message": {"$type": "string"}},
        ),
    ],
    "wishlist_dataset_creation_logs": [
        IndexModel([("wishlist_dataset_history_id", 1), ("created_at", -1)], name="history"),
        IndexModel([("event_type", 1), ("created_at", -1), ("_id", -1)], name="type"),
    ],
    "notifications": [
        IndexModel([("user_id", 1), ("created_at", -1)], name="user"),
        IndexModel([("type", 1), ("created_at", -1), ("_id", -1)], name="latest"),
        IndexModel([("type", 1), ("user_id", 1), ("created_at", -1), ("_id", -1)], name="inbox"),
        IndexModel(
            [("type", 1), ("user_id", 1), ("created_at", -1), ("_id", -1)],
            name="unread",
            partialFilterExpression={"read_at": None},
        ),
        IndexModel([("dataset_id", 1), ("created_at", 1)], name="dataset"),
    ],
    "crawler_schedules": [IndexModel([("wishlist_to_group_id", 1), ("type", 1), ("status", 1)], name="group")],
}
"""Indexes by collection of the console's database."""

ANALYZER_INDEXES: dict[str, list[IndexModel]] = {
    "batch_jobs_vps": [
        IndexModel([("dataset_id", 1), ("viewpoint", 1)], name="viewpoint", unique=True),
        IndexModel([("job_id", 1)], name="job", unique=True),
    ],
}
"""Indexes by collection of the analyzer's database."""


class Console:
    """The collections of the console and of the analyzer, on the server that the trail is on.

    One server, because a dataset's change, its batch jobs and its outbox entries are one transaction.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self._console = database.sibling(settings.console_database)
        self._analyzer = database.sibling(settings.analyzer_database)
        self.histories = self._console["wishlist_dataset_histories"]
        self.creation_logs = self._console["wishlist_dataset_creation_logs"]
        self.groups = self._console["wishlist_to_groups"]
        self.notifications = self._console["notifications"]
        self.crawler_schedules = self._console["crawler_schedules"]
        self.batch_jobs = self._analyzer["batch_jobs_vps"]

    async def ensure_indexes(self) -> None:
        """Create the indexes that are missing; existing ones are left as they are."""
        with translated():
            for database, indexes in ((self._console, CONSOLE_INDEXES), (self._analyzer, ANALYZER_INDEXES)):
                for name, wanted in indexes.items():
                    await database[name].create_indexes(wanted)

    async def missing_indexes(self) -> list[str]:
        """Compare the indexes with what they should be.

        Returns those that are missing, as `database.collection.index`.
        """
        missing: list[str] = []
        with translated():
            for database, indexes in ((self._console, CONSOLE_INDEXES), (self._analyzer, ANALYZER_INDEXES)):
                for name, wanted in indexes.items():
                    there = await database[name].index_information()
                    names = (str(index.document["name"]) for index in wanted)
                    missing.extend(f"{database.name}.{name}.{index}" for index in names if index not in there)
        return missing

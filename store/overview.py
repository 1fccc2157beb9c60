"""How much there is: the figures of a live overview."""

from collections.abc import Mapping
from dataclasses import dataclass

from models.status import Status
from store.database import Database, Document, translated


@dataclass(slots=True, frozen=True, kw_only=True)
class Overview:
    """Counts over the whole trail."""

    jobs: Mapping[Status, int]
    """Jobs by status; statuses without a job are left out."""
    event_count: int
    """Stored updates, by the database's own statistics, which may be off for a while after it crashed."""


class OverviewRepository:
    """Counts jobs and events.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Overview:
        """Count.

        Returns:
            The counts of this moment.

        Raises:
            StoreError: The database can't be reached.
        """
        # Sorted first, so that the index answers alone.
        by_status: list[Document] = [{"$sort": {"status": 1}}, {"$sortByCount": "$status"}]
        with translated():
            cursor = await self._database.jobs.aggregate(by_status)
            jobs = {Status(str(group["_id"])): int(str(group["count"])) async for group in cursor}
            event_count = await self._database.extractions.estimated_document_count()
        return Overview(jobs=jobs, event_count=event_count)

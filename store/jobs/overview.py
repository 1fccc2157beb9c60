"""How much there is: the figures of a live overview."""

from collections.abc import Mapping
from dataclasses import dataclass

from pymongo.asynchronous.collection import AsyncCollection

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console


@dataclass(slots=True, frozen=True, kw_only=True)
class Overview:
    """Counts over the whole trail."""

    jobs: Mapping[Status, int]
    """Jobs by status; statuses without a job are left out."""
    datasets: Mapping[DatasetStatus, int]
    """Datasets by status; statuses without a dataset, and words that are no status, are left out."""
    event_count: int
    """Stored updates, by the database's own statistics, which may be off for a while after it crashed."""


class OverviewRepository:
    """Counts jobs, datasets and events."""

    def __init__(self, console: Console) -> None:
        self._database = console.database
        self._histories = console.histories

    async def read(self) -> Overview:
        """Count what there is at this moment."""
        with translated():
            jobs = await _by_status(self._database.jobs)
            datasets = await _by_status(self._histories)
            event_count = await self._database.extractions.estimated_document_count()
        return Overview(
            jobs={Status(word): count for word, count in jobs.items()},
            datasets={status: datasets[status] for status in DatasetStatus if status in datasets},
            event_count=event_count,
        )


async def _by_status(collection: AsyncCollection[Document]) -> dict[str, int]:
    # Sorted first, so that the index answers alone.
    cursor = await collection.aggregate([{"$sort": {"status": 1}}, {"$sortByCount": "$status"}])
    return {str(group["_id"]): int(str(group["count"])) async for group in cursor}

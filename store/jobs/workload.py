"""What is in work and what waits: bounded reads by the index of statuses."""

from collections.abc import Mapping, Sequence

from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import RUNNING, Status
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import job_from


class WorkloadRepository:
    """Reads the jobs that have not ended."""

    def __init__(self, database: Database) -> None:
        self._jobs = database.jobs

    async def is_empty(self) -> bool:
        """Tell whether there was never a job."""
        with translated():
            return await self._jobs.find_one({}, {"_id": 1}) is None

    async def count(self, statuses: Sequence[Status], *, limit: int) -> int:
        """Count the jobs of some statuses by the index alone, up to `limit`."""
        with translated():
            return await self._jobs.count_documents({"status": {"$in": [each.value for each in statuses]}}, limit=limit)

    async def running(self, *, limit: int, extractor_id: str | None = None) -> Sequence[JobState]:
        """Read running jobs, those that have been silent for longest first."""
        query: Document = {"status": {"$in": RUNNING}}
        if extractor_id is not None:
            query["extractor_id"] = extractor_id
        with translated():
            found = self._jobs.find(query).sort([("updated_at", 1), ("_id", 1)]).limit(limit)
            return [job_from(document) async for document in found]

    async def running_by_extractor(self, *, limit: int) -> Mapping[str, int]:
        """Count the running jobs of each extractor, up to `limit` in all."""
        pipeline: list[Document] = [
            {"$match": {"status": {"$in": RUNNING}}},
            {"$limit": limit},
            {"$sortByCount": "$extractor_id"},
        ]
        with translated():
            cursor = await self._jobs.aggregate(pipeline)
            return {str(group["_id"]): int(str(group["count"])) async for group in cursor}

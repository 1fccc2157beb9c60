"""Batch jobs: each follows the job that its `job_id` names."""

from collections.abc import Collection, Sequence

from pymongo import UpdateOne

from jobtrail.models.datasets.dataset import BATCH_JOB_STATUS, BatchJob, BatchJobStatus
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.documents import batch_job_from

_UNFINISHED_QUERY: Document = {"status": {"$in": [BatchJobStatus.PENDING.value, BatchJobStatus.RUNNING.value]}}
_JOBS_PER_WRITE = 500


class BatchJobRepository:
    """Keeps batch jobs in step with their jobs."""

    def __init__(self, console: Console) -> None:
        self._batch_jobs = console.batch_jobs
        self._jobs = console.database.jobs

    async def unfinished(self) -> Sequence[BatchJob]:
        """Read the batch jobs that are not finished, the oldest first."""
        with translated():
            found = self._batch_jobs.find(_UNFINISHED_QUERY).sort("created_at", 1)
            return [batch_job_from(document) async for document in found]

    async def follow(self, job_ids: Collection[str]) -> None:
        """Bring the batch jobs among some jobs up to date; doing so again changes nothing."""
        if not job_ids:
            return
        with translated():
            await self._update(await self._named({"job_id": {"$in": list(job_ids)}}))

    async def catch_up(self) -> None:
        """Bring all batch jobs up to date that are not finished."""
        with translated():
            job_ids = await self._named(_UNFINISHED_QUERY)
            for at in range(0, len(job_ids), _JOBS_PER_WRITE):
                await self._update(job_ids[at : at + _JOBS_PER_WRITE])

    async def _named(self, query: Document) -> Sequence[object]:
        return [document["job_id"] async for document in self._batch_jobs.find(query, {"_id": 0, "job_id": 1})]

    async def _update(self, job_ids: Sequence[object]) -> None:
        if not job_ids:
            return
        fields = ("status", "message", "percent", "seen_at", "event_count")
        jobs = self._jobs.find({"_id": {"$in": job_ids}}, fields)
        if updates := [_update_of(job) async for job in jobs]:
            await self._batch_jobs.bulk_write(updates, ordered=False)


def _update_of(job: Document) -> UpdateOne:
    status = BATCH_JOB_STATUS[Status(str(job["status"]))]
    change: Document = {
        "status": status.value,
        "message": job["message"],
        "progress": 100.0 if status is BatchJobStatus.COMPLETE else job["percent"],
        "updated_at": job["seen_at"],
        "event_count": job["event_count"],
    }
    # A process that lost its right and does not know it yet may write what it read some time ago.
    not_older: Document = {"job_id": job["_id"], "event_count": {"$not": {"$gt": job["event_count"]}}}
    return UpdateOne(not_older, {"$set": change})

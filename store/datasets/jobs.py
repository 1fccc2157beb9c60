"""The jobs on datasets, as far as they tell how the datasets are doing."""

from collections.abc import Collection, Sequence
from typing import Any, cast

from jobtrail.models.datasets.jobs import AT_WORK
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.documents import open_query
from jobtrail.store.jobs.documents import job_from

_DATASETS_PER_READ = 200


class DatasetJobs:
    """Reads the jobs that speak for datasets, and finds the datasets that jobs are about."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._jobs = console.database.jobs

    async def open_ids(self, among: Collection[str] | None = None) -> Sequence[str]:
        """Tell which datasets are watched.

        `among`: resource ids, of datasets or of anything else; None means all datasets. Returns the ids of those that
        are Pending or Analyzing.
        """
        if among is not None and not among:
            return []
        with translated():
            found = self._console.histories.find(open_query(among), {"_id": 0, "dataset_id": 1})
            return [str(document["dataset_id"]) async for document in found]

    async def read(self, dataset_ids: Sequence[str]) -> dict[str, Sequence[JobState]]:
        """Read the jobs that speak for datasets.

        Per dataset and extractor these are the one at work and the one not at work with the latest news each, however
        many jobs there are; cancelled jobs and those of the dataset's batch jobs are left out.

        Returns the jobs by dataset, in no order and without their producers; empty for a dataset without any.
        """
        jobs: dict[str, list[JobState]] = {dataset_id: [] for dataset_id in dataset_ids}
        with translated():
            for at in range(0, len(dataset_ids), _DATASETS_PER_READ):
                found = await self._jobs.aggregate(
                    await self._speaking(dataset_ids[at : at + _DATASETS_PER_READ]), allowDiskUse=True
                )
                async for group in found:
                    job = job_from(cast("dict[str, Any]", group["job"]))
                    jobs[job.resource_id].append(job)
        return {**jobs}

    async def _speaking(self, dataset_ids: Sequence[str]) -> list[Document]:
        batch_jobs = self._console.batch_jobs.find({"dataset_id": {"$in": dataset_ids}}, {"_id": 0, "job_id": 1})
        wanted: Document = {
            "resource_id": {"$in": dataset_ids},
            "status": {"$ne": Status.CANCELLED.value},
            "_id": {"$nin": [document["job_id"] async for document in batch_jobs]},
        }
        speaker: Document = {
            "resource": "$resource_id",
            "extractor": "$extractor_id",
            "at_work": {"$in": ["$status", [status.value for status in AT_WORK]]},
        }
        latest: Document = {"sortBy": {"seen_at": -1, "updated_at": -1, "_id": -1}, "output": "$$ROOT"}
        return [
            {"$match": wanted},
            {"$unset": "producers"},
            {"$group": {"_id": speaker, "job": {"$top": latest}}},
        ]

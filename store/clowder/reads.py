"""What Clowder's own questions need and no other reader does: jobs by their creation, skipped and counted."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from jobtrail.models.jobs.job import Event, JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.jobs.documents import event_from, job_from

_NEWEST_FIRST = [("begun_at", -1), ("_id", -1)]


@dataclass(slots=True, frozen=True, kw_only=True)
class CreatedJobs:
    """Which jobs are wanted; None means any."""

    extractor_id: str | None = None
    user_id: str | None = None
    resource_ids: Collection[str] = ()
    """The resource that they are about. As a job has one only, two different ones find nothing."""
    statuses: Collection[Status] | None = None
    created_on: date | None = None
    """The day on which they were created, UTC."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CountedJobs:
    """A part of the jobs, the one that was created last first."""

    jobs: Sequence[JobState]
    total: int
    """How many there are on all pages."""


class ClowderReads:
    """Answers Clowder's questions."""

    def __init__(self, console: Console) -> None:
        self._jobs = console.database.jobs
        self._extractions = console.database.extractions
        self._extractors = console.database.extractors
        self._histories = console.histories

    async def jobs(self, wanted: CreatedJobs, *, skip: int, limit: int) -> CountedJobs:
        """Read a part of the jobs. It costs the more, the more are skipped.

        Returns the jobs and their number, which is an estimate where all jobs are wanted: counting a million takes
        long.
        """
        query = _query(wanted)
        with translated():
            found = self._jobs.find(query).sort(_NEWEST_FIRST).skip(skip).limit(limit)
            jobs = [job_from(document) async for document in found]
            total = await (self._jobs.count_documents(query) if query else self._jobs.estimated_document_count())
        return CountedJobs(jobs=jobs, total=total)

    async def datasets_among(self, resource_ids: Collection[str]) -> Collection[str]:
        """Tell which resources are datasets, as far as that is known: those that have a history."""
        query = {"dataset_id": {"$in": list(resource_ids)}}
        with translated():
            found = self._histories.find(query, {"dataset_id": 1, "_id": 0})
            return {str(history["dataset_id"]) async for history in found}

    async def extractor_names(self) -> Sequence[str]:
        """Return the names of all extractors, without what they say of themselves."""
        with translated():
            return [str(name) for name in await self._extractors.distinct("name")]

    async def latest_update_of_job(self, job_id: str) -> Event | None:
        """Read the latest update of a job that was not late.

        Returns the update; None where there is no such job.
        """
        return await self._latest({"job_id": job_id, "late": False}, [("position", -1)])

    async def latest_update_without_job(self, extractor_id: str, resource_id: str) -> Event | None:
        """Read an extractor's latest update on a resource that names no job.

        Returns the update; None where there is none.
        """
        query: Document = {"file_id": resource_id, "extractor_id": extractor_id, "job_id": None}
        return await self._latest(query, [("received_at", -1), ("_id", -1)])

    async def _latest(self, query: Document, order: Sequence[tuple[str, int]]) -> Event | None:
        with translated():
            document = await self._extractions.find_one(query, sort=order)
        return event_from(document) if document else None


def _query(wanted: CreatedJobs) -> Document:
    clauses: list[Document] = [{"resource_id": resource_id} for resource_id in wanted.resource_ids]
    if wanted.extractor_id is not None:
        clauses.append({"extractor_id": wanted.extractor_id})
    if wanted.user_id is not None:
        clauses.append({"user_id": wanted.user_id})
    if wanted.statuses is not None:
        clauses.append({"status": {"$in": [status.value for status in wanted.statuses]}})
    if wanted.created_on is not None:
        first, last = (datetime.combine(wanted.created_on, moment, UTC) for moment in (time.min, time.max))
        clauses.append({"begun_at": {"$gte": first, "$lte": last}})
    return {"$and": clauses} if clauses else {}

"""What was done to one resource, a file or a dataset: extractor by extractor, job by job."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobtrail.models.jobs.job import JobState
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import job_from
from jobtrail.store.jobs.jobs import JobPage
from jobtrail.store.jobs.without_job_id import MAX_COUNTED, MAX_EXTRACTORS, UnnamedGroup, UnnamedRepository
from jobtrail.store.keyset import SortOrder, read_page

_NEWEST_FIRST = SortOrder(field="begun_at", direction=-1)


@dataclass(slots=True, frozen=True, kw_only=True)
class ResourceGroup:
    """What one extractor did to a resource: jobs, or updates that name none, or both."""

    extractor_id: str
    latest: JobState | None
    """The job that was asked for last, whichever was heard of last; None where all updates name no job."""
    job_count: int
    """Counted up to `store.jobs.without_job_id.MAX_COUNTED`."""
    unnamed: UnnamedGroup | None
    """The updates that name no job."""

    @property
    def newest_at(self) -> datetime:
        """When its latest job was asked for, or its latest update that names no job was sent."""
        asked = self.latest.begun_at if self.latest else None
        sent = self.unnamed.updated_at if self.unnamed else None
        return max(moment for moment in (asked, sent) if moment is not None)


class ResourceRepository:
    """Reads what was done to resources; what is read does not grow with what a resource has seen."""

    def __init__(self, database: Database) -> None:
        self._jobs = database.jobs
        self._unnamed = UnnamedRepository(database)

    async def groups(self, resource_id: str) -> Sequence[ResourceGroup]:
        """Read what each extractor did to a resource, that of the newest job first."""
        jobs, unnamed = await asyncio.gather(self._latest_jobs(resource_id), self._unnamed.of_resource(resource_id))
        without_job = {group.extractor_id: group for group in unnamed}
        groups = [
            ResourceGroup(
                extractor_id=extractor_id,
                latest=job_from(jobs[extractor_id]["latest"]) if extractor_id in jobs else None,
                job_count=jobs[extractor_id]["counted"][0]["jobs"] if extractor_id in jobs else 0,
                unnamed=without_job.get(extractor_id),
            )
            for extractor_id in jobs.keys() | without_job.keys()
        ]
        return sorted(groups, key=lambda group: (group.newest_at, group.extractor_id), reverse=True)

    async def jobs(self, resource_id: str, extractor_id: str, *, limit: int, cursor: str | None = None) -> JobPage:
        """Read one page of an extractor's jobs on a resource, the one that was asked for last first."""
        query: Document = {"resource_id": resource_id, "extractor_id": extractor_id}
        page = await read_page(self._jobs, query, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return JobPage(jobs=[job_from(document) for document in page.rows], next=page.next)

    async def _latest_jobs(self, resource_id: str) -> Mapping[str, Mapping[str, Any]]:
        """Read each extractor's latest job by leaps through the index `begun`, and count its jobs, up to a bound."""
        counted: list[Document] = [
            {"$match": {"resource_id": resource_id}},
            {"$limit": MAX_COUNTED},
            {"$count": "jobs"},
        ]
        pipeline: list[Document] = [
            {"$match": {"resource_id": resource_id}},
            {"$sort": {"resource_id": 1, "extractor_id": 1, "begun_at": -1, "_id": -1}},
            {"$group": {"_id": "$extractor_id", "latest": {"$first": "$$ROOT"}}},
            {"$limit": MAX_EXTRACTORS},
            {
                "$lookup": {
                    "from": "jobs",
                    "localField": "_id",
                    "foreignField": "extractor_id",
                    "pipeline": counted,
                    "as": "counted",
                }
            },
        ]
        with translated():
            found = await (await self._jobs.aggregate(pipeline)).to_list()
        return {str(group["_id"]): group for group in found}

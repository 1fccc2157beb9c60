"""The read side of the trail: jobs, their timelines, and updates that name no job."""

import base64
import json
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from models.errors import NotFoundError, SettingError
from models.job import Event, Job
from models.status import Status
from store.database import Database, Document, translated
from store.documents import event_from, job_from

MAX_GROUPS = 1000
"""Groups read at the most, unless another limit is given."""
_EVENTS_PER_READ = 1000
"""Events fetched together: enough to be quick, few enough to keep memory small with long messages."""


@dataclass(slots=True, frozen=True, kw_only=True)
class JobFilter:
    """Which jobs are asked for; None and empty mean any."""

    extractor_id: str | None = None
    resource_id: str | None = None
    user_id: str | None = None
    statuses: Sequence[Status] = ()
    since: datetime | None = None
    """Only jobs updated at this time or later."""


@dataclass(slots=True, frozen=True, kw_only=True)
class JobPage:
    """One page of jobs, the latest updated first."""

    jobs: Sequence[Job]
    next: str | None
    """Cursor of the next page; None on the last."""


@dataclass(slots=True, frozen=True, kw_only=True)
class UnnamedGroup:
    """The updates of one extractor on one resource that name no job."""

    extractor_id: str
    resource_id: str
    event_count: int
    first_at: datetime
    """The worker's time of the first one in order."""
    updated_at: datetime
    """The worker's time of the latest one in order."""
    status: Status
    message: str


class JobRepository:
    """Reads jobs and events.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, job_id: str) -> Job:
        """Read one job.

        Raises:
            NotFoundError: There is no job with this id.
            StoreError: The database can't be reached.
        """
        with translated():
            document = await self._database.jobs.find_one({"_id": job_id})
        if document is None:
            raise NotFoundError(f"there is no job {job_id!r}")
        return job_from(document)

    async def list(self, wanted: JobFilter, *, limit: int, cursor: str | None = None) -> JobPage:
        """Read one page of jobs by keyset, so that a deep page costs what the first one does.

        Args:
            wanted: Which jobs.
            limit: Jobs per page.
            cursor: The `next` of the page before.

        Returns:
            The page.

        Raises:
            SettingError: The cursor is none of ours.
            StoreError: The database can't be reached.
        """
        clauses: list[Document] = [_job_query(wanted)]
        if cursor is not None:
            updated_at, job_id = _read_cursor(cursor)
            clauses.append(
                {"$or": [{"updated_at": {"$lt": updated_at}}, {"updated_at": updated_at, "_id": {"$lt": job_id}}]}
            )
        with translated():
            found = self._database.jobs.find({"$and": clauses}).sort([("updated_at", -1), ("_id", -1)]).limit(limit + 1)
            jobs = [job_from(document) async for document in found]
        return JobPage(jobs=jobs[:limit], next=_write_cursor(jobs[limit - 1]) if len(jobs) > limit else None)

    async def events(self, job_id: str, *, after: int = 0, limit: int = 0) -> AsyncGenerator[Event]:
        """Read a job's timeline in order.

        Args:
            job_id: The job.
            after: Position after which to begin.
            limit: Events at the most; 0 means all.

        Yields:
            The events, oldest arrival first.
        """
        with translated():
            found = self._database.extractions.find({"job_id": job_id, "position": {"$gt": after}})
            async for document in found.sort("position", 1).limit(limit).batch_size(_EVENTS_PER_READ):
                yield event_from(document)

    async def follow(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event]:
        """Read a job's timeline and go on as it grows, without gap or repeat.

        Args:
            job_id: The job; it need not exist yet.
            after: Position after which to begin.

        Yields:
            The events; ends only when it is cancelled.
        """
        pipeline = [{"$match": {"operationType": "insert", "fullDocument.job_id": job_id}}]
        with translated():
            # The stream is opened before the stored events are read, so that nothing falls between them.
            async with await self._database.extractions.watch(pipeline) as stream:
                async for event in self.events(job_id, after=after):
                    after = event.placement.position if event.placement else after
                    yield event
                async for change in stream:
                    event = event_from(cast("Document", change["fullDocument"]))
                    if event.placement is not None and event.placement.position > after:
                        after = event.placement.position
                        yield event

    async def unnamed_groups(
        self, *, resource_id: str | None = None, extractor_id: str | None = None, limit: int = MAX_GROUPS
    ) -> Sequence[UnnamedGroup]:
        """Group the updates that name no job by extractor and resource, the latest first.

        Args:
            resource_id: Only those on this resource.
            extractor_id: Only those of this extractor.
            limit: Groups at the most.

        Returns:
            The groups.
        """
        query: Document = {"job_id": None}
        if resource_id is not None:
            query["file_id"] = resource_id
        if extractor_id is not None:
            query["extractor_id"] = extractor_id
        pipeline: list[Document] = [
            {"$match": query},
            {"$sort": {"received_at": 1, "seq": 1}},
            {
                "$group": {
                    "_id": {"extractor": "$extractor_id", "resource": "$file_id"},
                    "event_count": {"$sum": 1},
                    "first_at": {"$first": "$start"},
                    "updated_at": {"$last": "$start"},
                    "status": {"$last": "$state"},
                    "message": {"$last": "$message"},
                }
            },
            {"$sort": {"updated_at": -1, "_id": 1}},
            {"$limit": limit},
        ]
        with translated():
            cursor = await self._database.extractions.aggregate(pipeline, allowDiskUse=True)
            return [
                UnnamedGroup(
                    extractor_id=group["_id"]["extractor"],  # type: ignore[index]
                    resource_id=group["_id"]["resource"],  # type: ignore[index]
                    event_count=group["event_count"],  # type: ignore[arg-type]
                    first_at=group["first_at"],  # type: ignore[arg-type]
                    updated_at=group["updated_at"],  # type: ignore[arg-type]
                    status=Status(str(group["status"])),
                    message=str(group["message"]),
                )
                async for group in cursor
            ]

    async def unnamed_events(self, extractor_id: str, resource_id: str) -> AsyncGenerator[Event]:
        """Read one extractor's updates on one resource that name no job, in order of arrival.

        Args:
            extractor_id: The extractor.
            resource_id: The file or dataset.

        Yields:
            The events.
        """
        query = {"file_id": resource_id, "extractor_id": extractor_id, "job_id": None}
        with translated():
            async for document in self._database.extractions.find(query).sort([("received_at", 1), ("seq", 1)]):
                yield event_from(document)


def _job_query(wanted: JobFilter) -> Document:
    query: Document = {}
    for name, value in (
        ("extractor_id", wanted.extractor_id),
        ("resource_id", wanted.resource_id),
        ("user_id", wanted.user_id),
    ):
        if value is not None:
            query[name] = value
    if wanted.statuses:
        query["status"] = {"$in": [status.value for status in wanted.statuses]}
    if wanted.since is not None:
        query["updated_at"] = {"$gte": wanted.since}
    return query


def _write_cursor(job: Job) -> str:
    key = json.dumps([job.updated_at.isoformat(), job.job_id])
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        updated_at, job_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        return datetime.fromisoformat(updated_at), str(job_id)
    except (ValueError, TypeError) as error:
        raise SettingError(f"this is no cursor of a job list: {cursor[:80]!r}") from error

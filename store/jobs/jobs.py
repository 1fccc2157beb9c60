"""The read side of the trail: jobs and their timelines."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from jobtrail.models.errors import NotFoundError
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import Event, JobState
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import event_from, job_from
from jobtrail.store.jobs.query import EventFilter, between, containing
from jobtrail.store.jobs.without_job_id import UnnamedRepository
from jobtrail.store.keyset import SortOrder, cursor_behind, read_page, within

MessageKey = tuple[str | None, str]
"""By what a stored message is recognised: its job, and its message id."""
SEARCH_LIMIT_S = 2.0
"""Seconds that the database may look for one page."""
_FIRST_UPDATES = 5
_EVENTS_PER_READ = 1000
"""Events fetched together: enough to be quick, few enough to keep memory small with long messages."""
_LATEST_FIRST = SortOrder(field="updated_at", direction=-1)
_SEARCHED = ("_id", "resource_id", "extractor_id", "user_id", "message")


@dataclass(slots=True, frozen=True, kw_only=True)
class JobPage:
    """One page of jobs."""

    jobs: Sequence[JobState]
    next: str | None
    """Cursor of the next page; None on the last."""


@dataclass(slots=True, frozen=True, kw_only=True)
class EventPage:
    """A part of a job's timeline, in order."""

    events: Sequence[Event]
    previous: int | None
    """The position before which there may be more."""
    next: int | None
    """The position after which there may be more."""


class JobRepository:
    """Reads jobs and events."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.unnamed = UnnamedRepository(database)

    async def get(self, job_id: str) -> JobState:
        """Read one job; `NotFoundError` where there is none with this id."""
        with translated():
            document = await self._database.jobs.find_one({"_id": job_id})
        if document is None:
            raise NotFoundError(f"there is no job {job_id!r}")
        return job_from(document)

    async def some(self, job_ids: Collection[str]) -> Sequence[JobState]:
        """Read those of these jobs that exist."""
        with translated():
            return [job_from(each) async for each in self._database.jobs.find({"_id": {"$in": [*job_ids]}})]

    async def correlation_ids(self, job_ids: Collection[str]) -> Mapping[str, str]:
        """Read the correlation ids of those jobs whose first updates carried one."""
        query: Document = {"job_id": {"$in": [*job_ids]}, "position": {"$lte": _FIRST_UPDATES}}
        fields = {"job_id": 1, "correlation_id": 1}
        with translated():
            found = self._database.extractions.find(query, fields).sort([("job_id", 1), ("position", -1)])
            return {
                str(event["job_id"]): str(event["correlation_id"]) async for event in found if "correlation_id" in event
            }

    async def stored_messages(self, messages: Collection[MessageKey]) -> Mapping[MessageKey, str | None]:
        """Return those of these messages that are stored as updates, each with the dead letter it had been, if any."""
        if not messages:
            return {}
        job_ids, message_ids = (list(dict.fromkeys(each)) for each in zip(*messages, strict=True))
        query: Document = {"job_id": {"$in": job_ids}, "message_id": {"$in": message_ids}}
        fields = {"_id": 0, "job_id": 1, "message_id": 1, "letter_id": 1}
        with translated():
            found = self._database.extractions.find(query, fields).hint("message")
            stored = {(event["job_id"], event["message_id"]): event.get("letter_id") async for event in found}
        return cast("Mapping[MessageKey, str | None]", stored)

    async def list(self, wanted: JobFilter, *, limit: int, cursor: str | None = None) -> JobPage:
        """Read one page of jobs by keyset, so that a deep page costs what the first does; may be `TooBroadError`."""
        if wanted.q is not None and cursor is None:
            with translated():
                named = await self._database.jobs.find_one({**_job_query(wanted), "_id": wanted.q})
            if named is not None:
                return JobPage(jobs=[job_from(named)], next=None)
        page = await read_page(
            self._database.jobs,
            {"$and": [_job_query(wanted), containing(_SEARCHED, wanted.q)]},
            _LATEST_FIRST,
            limit=limit,
            cursor=cursor,
            time_limit_s=SEARCH_LIMIT_S,
        )
        return JobPage(jobs=[job_from(document) for document in page.rows], next=page.next)

    def cursor_behind(self, job: JobState) -> str:
        """Make the cursor of the page that begins behind a job of the list."""
        return cursor_behind(_LATEST_FIRST, {"updated_at": job.updated_at, "_id": job.job_id})

    async def event_page(
        self, job_id: str, wanted: EventFilter, *, limit: int, after: int = 0, before: int | None = None
    ) -> EventPage:
        """Read a part of a job's timeline: forwards after a position, or backwards before one; may be too broad."""
        position: Document = {"$gt": after} if before is None else {"$gt": after, "$lt": before}
        query: Document = {"job_id": job_id, "position": position}
        found = self._database.extractions.find(query | wanted.query())
        found = found.sort("position", 1 if before is None else -1).limit(limit + 1)
        with translated(), within(SEARCH_LIMIT_S):
            documents = await found.max_time_ms(int(SEARCH_LIMIT_S * 1000)).to_list()
        events = [event_from(document) for document in documents[:limit]]
        more = len(documents) > limit
        if before is None:
            return EventPage(
                events=events,
                previous=after + 1 if after else None,
                next=_position(events[-1]) if more else None,
            )
        events.reverse()
        return EventPage(events=events, previous=_position(events[0]) if more else None, next=before - 1)

    async def events(self, job_id: str, *, after: int = 0, limit: int = 0) -> AsyncGenerator[Event]:
        """Read a job's timeline in order of arrival; a `limit` of 0 means all of it."""
        with translated():
            found = self._database.extractions.find({"job_id": job_id, "position": {"$gt": after}})
            async for document in found.sort("position", 1).limit(limit).batch_size(_EVENTS_PER_READ):
                yield event_from(document)

    async def follow(self, job_id: str, *, after: int = 0) -> AsyncGenerator[Event]:
        """Read a job's timeline and go on as it grows, without gap or repeat; it need not exist yet."""
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


def _job_query(wanted: JobFilter) -> Document:
    query: Document = {
        "extractor_id": wanted.extractor,
        "resource_id": wanted.resource,
        "user_id": wanted.user,
        "status": {"$in": wanted.statuses} if wanted.statuses else None,
        "updated_at": between(wanted.since, wanted.until),
    }
    return {name: value for name, value in query.items() if value is not None}


def _position(event: Event) -> int:
    assert event.placement is not None  # noqa: S101  # an event of a job has a place in it
    return event.placement.position

"""Rebuilds `jobs` from `extractions`, and compares the two.

The consumer may go on meanwhile: what looks different is looked at once more, the job and its events in one snapshot,
before it counts.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.jobs.job import JobState, fold
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import event_from, job_document

_JOBS_PER_READ = 500
_EVENTS_PER_REPORT = 1000

Progress = Callable[[int], None]
"""Called now and then with the number of events read so far."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Difference:
    """One job that is not what its events say."""

    job_id: str
    what: str
    """In words: what differs."""


@dataclass(slots=True, frozen=True, kw_only=True)
class RebuildResult:
    """What a rebuild found and did."""

    jobs: int
    """Jobs that have events."""
    events: int
    """Events read."""
    changed: int
    """Jobs that were rewritten because they differed."""
    removed: int
    """Jobs without any event."""


class Rebuild:
    """Computes every job again from its events."""

    def __init__(self, database: Database, on_progress: Progress = lambda _events: None) -> None:
        self._database = database
        self._on_progress = on_progress
        self._events = 0
        self._jobs = 0

    async def verify(self) -> AsyncIterator[Difference]:
        """Compare every job with what its events say, and yield the differences."""
        async for job_id in self._suspects():
            difference = await self._database.transact(partial(self._compare, job_id))
            if difference is not None:
                yield difference

    async def rebuild(self) -> RebuildResult:
        """Rewrite every job that differs from what its events say, and remove jobs without events.

        After an error, what was done so far stays; a further run goes on.
        """
        changed = removed = 0
        async for job_id in self._suspects():
            rebuilt = await self._database.transact(partial(self._rewrite, job_id))
            if rebuilt is None:
                removed += 1
            elif rebuilt:
                changed += 1
        return RebuildResult(jobs=self._jobs, events=self._events, changed=changed, removed=removed)

    async def _suspects(self) -> AsyncIterator[str]:
        """Find the jobs that seem to differ."""
        with translated():
            chunk: list[tuple[JobState, bool]] = []
            async for rebuilt in self._rebuilt():
                chunk.append(rebuilt)
                if len(chunk) == _JOBS_PER_READ:
                    for job_id in await self._differing(chunk):
                        yield job_id
                    chunk.clear()
            for job_id in await self._differing(chunk):
                yield job_id
            async for job_id in self._without_events():
                yield job_id
        self._on_progress(self._events)

    async def _rebuilt(self) -> AsyncIterator[tuple[JobState, bool]]:
        """Fold all events; yield each job, and whether its events stand where the fold puts them."""
        job: JobState | None = None
        placed = True
        found = self._database.extractions.find({"job_id": {"$gt": ""}}).sort([("job_id", 1), ("position", 1)])
        async for document in found:
            event = event_from(document)
            if job is not None and job.job_id != event.update.job_id:
                yield job, placed
                job, placed = None, True
            job, placement = fold(job, event.update, event.received_at)
            placed = placed and placement == event.placement
            self._jobs += job.event_count == 1
            self._events += 1
            if self._events % _EVENTS_PER_REPORT == 0:
                self._on_progress(self._events)
        if job is not None:
            yield job, placed

    async def _differing(self, rebuilt: Sequence[tuple[JobState, bool]]) -> Sequence[str]:
        found = self._database.jobs.find({"_id": {"$in": [job.job_id for job, _placed in rebuilt]}})
        stored = {document["_id"]: document async for document in found}
        return [job.job_id for job, placed in rebuilt if not placed or stored.get(job.job_id) != job_document(job)]

    async def _without_events(self) -> AsyncIterator[str]:
        pipeline: list[Document] = [
            {"$lookup": {"from": "extractions", "localField": "_id", "foreignField": "job_id", "as": "event",
                         "pipeline": [{"$limit": 1}, {"$project": {"_id": 1}}]}},
            {"$match": {"event": []}},
            {"$project": {"_id": 1}},
        ]  # fmt: skip
        async for document in await self._database.jobs.aggregate(pipeline):
            yield str(document["_id"])

    async def _compare(self, job_id: str, session: AsyncClientSession) -> Difference | None:
        stored, rebuilt, misplaced = await self._look(job_id, session)
        if rebuilt is None:
            return Difference(job_id=job_id, what="the job has no events") if stored else None
        if stored is None:
            return Difference(job_id=job_id, what=f"the job is missing; its {rebuilt.event_count} events are there")
        if misplaced:
            return Difference(job_id=job_id, what=f"{len(misplaced)} events have another place, attempt or lateness")
        want = job_document(rebuilt)
        if stored != want:
            names = [name for name in want.keys() | stored.keys() if stored.get(name) != want.get(name)]
            words = (f"{name} is {stored.get(name)!s}, its events say {want.get(name)!s}" for name in sorted(names))
            return Difference(job_id=job_id, what="; ".join(words))
        return None

    async def _rewrite(self, job_id: str, session: AsyncClientSession) -> bool | None:
        """Write one job as its events say; return whether it differed, None if it had no events and was removed."""
        stored, rebuilt, misplaced = await self._look(job_id, session)
        if rebuilt is None:
            await self._database.jobs.delete_one({"_id": job_id}, session=session)
            return None
        if misplaced:
            await self._database.extractions.bulk_write(misplaced, ordered=False, session=session)
        want = job_document(rebuilt)
        if stored != want:
            await self._database.jobs.replace_one({"_id": job_id}, want, upsert=True, session=session)
        return bool(misplaced) or stored != want

    async def _look(
        self, job_id: str, session: AsyncClientSession
    ) -> tuple[Document | None, JobState | None, list[UpdateOne]]:
        """Read a job's document, the job as its events say it is, and the corrections that its events' places need."""
        document = await self._database.jobs.find_one({"_id": job_id}, session=session)
        job: JobState | None = None
        misplaced: list[UpdateOne] = []
        found = self._database.extractions.find({"job_id": job_id}, session=session).sort("position", 1)
        async for stored_event in found:
            event = event_from(stored_event)
            job, placement = fold(job, event.update, event.received_at)
            if placement != event.placement:
                change = {"position": placement.position, "attempt": placement.attempt, "late": placement.late}
                misplaced.append(UpdateOne({"_id": stored_event["_id"]}, {"$set": change}))
        return document, job, misplaced

"""Imports what a Clowder stored: each of its updates becomes an event, and the events are folded into jobs.

One batch is one transaction: its events, the jobs they change, and how far the import is. An event's id is that of
Clowder's document (or made from it), so that whatever was imported before is recognised: by another run, from another
address, or half done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.errors import NotFoundError, OwnershipLostError
from jobtrail.models.jobs.job import Event, fold
from jobtrail.store.clowder.documents import ImportedUpdate, RejectedDocument
from jobtrail.store.clowder.source import Clowder1Source, Clowder2Source, ClowderDatabase, Key
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import event_document
from jobtrail.store.leases.fenced_writer import FencedWriter
from jobtrail.store.log.projection import read_jobs, write_events_and_jobs

_BATCH_MAX_COUNT = 500
_BATCH_MAX_CHARACTERS = 2 * 1024 * 1024
_REJECTS_KEPT = 100
_TRIES = 5


@dataclass(slots=True, kw_only=True)
class ImportedSource:
    """What one run imported from one of Clowder's versions."""

    name: str
    """`import:clowder1` or `import:clowder2`; also the queue of its events."""
    collections: Sequence[str]
    read: int = 0
    """Documents read in this run."""
    imported: int = 0
    """Events that are new."""
    known: int = 0
    """Events that an earlier run had imported."""
    rejected_count: int = 0
    rejected: list[RejectedDocument] = field(default_factory=list)
    """The first of the documents that can't be imported."""
    resumed: bool = False
    """Whether it went on where an earlier run was cut off."""


Progress = Callable[[str, int, int], None]
"""Called with the collections, how many of their documents are done, and how many there are about."""


@dataclass(slots=True, frozen=True)
class _Batch:
    updates: Sequence[ImportedUpdate]
    key: Key | None
    """The last unit that is whole with this batch; None while there is none."""
    done: bool
    read: int


class ClowderImport:
    """Imports one Clowder database, of either version or both."""

    def __init__(
        self,
        database: Database,
        source_url: str,
        source_name: str = "clowder",
        on_progress: Progress = lambda _collections, _done, _total: None,
    ) -> None:
        self._database = database
        self._source = ClowderDatabase(source_url, source_name)
        self._on_progress = on_progress
        self._writer = FencedWriter(database)

    async def run(self) -> Sequence[ImportedSource]:
        """Import what is there; go on where an earlier run was cut off.

        Returns what was imported, by version. Raises `NotFoundError`: the database has none of Clowder's collections.
        """
        try:
            identity = await self._source.identity()
            there = await self._source.collections()
            found = [
                source
                for source in (Clowder1Source(self._source), Clowder2Source(self._source))
                if there.intersection(source.collections)
            ]
            if not found:
                wanted = ", ".join((*Clowder1Source.collections, *Clowder2Source.collections))
                raise NotFoundError(f"the database {identity} has none of Clowder's collections {wanted}")
            await self._database.ensure_indexes()
            return [await self._import(source, f"{source.queue}:{identity}") for source in found]
        finally:
            await self._source.close()
            await self._writer.close()

    async def _import(self, source: Clowder1Source | Clowder2Source, token_id: str) -> ImportedSource:
        await self._writer.take_over(token_id)
        with translated():
            token = await self._database.resume_tokens.find_one({"_id": token_id}) or {}
        # A finished import is done anew from the start: Clowder may have got new documents for old jobs.
        after: Key | None = None if token.get("done") else token.get("last")  # type: ignore[assignment]
        before = int(token["read"]) if after is not None else 0  # type: ignore[call-overload]
        result = ImportedSource(name=source.queue, collections=source.collections, resumed=after is not None)
        total = await self._source.count(source.collections)
        write = partial(self._write, source.queue, token_id, result)
        title = " and ".join(source.collections)
        waiting: list[ImportedUpdate] = []
        size = 0
        async for unit in source.units(after):
            result.read += unit.read
            _note_rejected(result, unit.rejected)
            waiting.extend(unit.updates)
            size += sum(len(imported.update.status) for imported in unit.updates)
            if len(waiting) >= _BATCH_MAX_COUNT or size >= _BATCH_MAX_CHARACTERS:
                for part in _parts(waiting):
                    # Only the last part makes the unit whole.
                    whole = part[-1] is waiting[-1]
                    await write(_Batch(part, unit.key if whole else after, done=False, read=before + result.read))
                after, size = unit.key, 0
                waiting.clear()
                self._on_progress(title, before + result.read, total)
        for part in _parts(waiting):
            await write(_Batch(part, after, done=False, read=before + result.read))
        await write(_Batch([], after, done=True, read=before + result.read))
        self._on_progress(title, before + result.read, total)
        return result

    async def _write(self, queue: str, token_id: str, result: ImportedSource, batch: _Batch) -> None:
        for attempt in range(_TRIES):
            try:
                stored = await self._writer.transact(partial(self._store, queue, token_id, batch))
            except OwnershipLostError:
                # Someone else was the first to write one of these jobs: the next try sees it.
                if attempt == _TRIES - 1:
                    raise
            else:
                result.imported += stored
                result.known += len(batch.updates) - stored
                return

    async def _store(self, queue: str, token_id: str, batch: _Batch, session: AsyncClientSession) -> int:
        token = await self._database.resume_tokens.find_one({"_id": token_id}, session=session) or {}
        seq = int(token.get("seq", 0))  # type: ignore[call-overload]
        fresh = await self._unknown(batch.updates, session)
        jobs = await read_jobs(self._database, {imported.update.job_id for imported in fresh}, session)
        events: list[Document] = []
        for number, imported in enumerate(fresh, seq + 1):
            update, placement = imported.update, None
            if update.job_id is not None:
                jobs[update.job_id], placement = fold(jobs.get(update.job_id), update, update.event_time)
            event = Event(
                id=imported.id,
                queue=queue,
                seq=number,
                received_at=update.event_time,
                update=update,
                placement=placement,
            )
            events.append(event_document(event))
        await write_events_and_jobs(self._database, events, jobs, session)
        progress = {
            "last": batch.key,
            "seq": seq + len(events),
            "done": batch.done,
            "read": batch.read,
            "updated_at": datetime.now(UTC),
        }
        await self._database.resume_tokens.update_one(
            {"_id": token_id}, {"$set": progress}, upsert=True, session=session
        )
        return len(events)

    async def _unknown(self, updates: Sequence[ImportedUpdate], session: AsyncClientSession) -> list[ImportedUpdate]:
        ids = {imported.id: ObjectId(imported.id) for imported in updates}
        found = self._database.extractions.find({"_id": {"$in": list(ids.values())}}, {"_id": 1}, session=session)
        taken = {str(document["_id"]) async for document in found}
        unknown: list[ImportedUpdate] = []
        for imported in updates:
            # Two documents share an id only where Clowder's has no usable one and both say the same.
            if imported.id not in taken:
                taken.add(imported.id)
                unknown.append(imported)
        return unknown


def _parts(updates: Sequence[ImportedUpdate]) -> list[Sequence[ImportedUpdate]]:
    """Cut into batches by count and size."""
    parts: list[Sequence[ImportedUpdate]] = []
    start = size = 0
    for place, imported in enumerate(updates):
        size += len(imported.update.status)
        if place - start + 1 >= _BATCH_MAX_COUNT or size >= _BATCH_MAX_CHARACTERS:
            parts.append(updates[start : place + 1])
            start, size = place + 1, 0
    if start < len(updates):
        parts.append(updates[start:])
    return parts


def _note_rejected(result: ImportedSource, rejected: Sequence[RejectedDocument]) -> None:
    result.rejected_count += len(rejected)
    result.rejected.extend(rejected[: _REJECTS_KEPT - len(result.rejected)])

"""What the messages of a stream become: events and jobs, dead letters, or duplicates on record."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.delivery import Entry, StoredBatch
from jobtrail.models.jobs.job import Event, JobState, fold
from jobtrail.models.position import Position
from jobtrail.store.database import Database, Document
from jobtrail.store.dead_letters.refused import write_refused
from jobtrail.store.jobs.documents import event_document
from jobtrail.store.log.projection import read_jobs, write_events_and_jobs
from jobtrail.store.log.repeats import Repeats

_MessageKey = tuple[str | None, str]
"""A job and a message id: what two messages share of which the second is a duplicate."""


@dataclass(slots=True)
class Prepared:
    """A batch whose outcome is known; what is written is still to be written."""

    database: Database
    events: list[Document] = field(default_factory=list)
    jobs: Mapping[str, JobState] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)
    duplicates: list[Document] = field(default_factory=list)
    holes: list[Document] = field(default_factory=list)
    """Numbers of offsets that the broker took for itself."""

    @property
    def stored(self) -> StoredBatch:
        """What becomes of the batch."""
        return StoredBatch(
            stored=len(self.events),
            duplicates=len(self.duplicates),
            dead_lettered=len(self.letters),
            unused=len(self.holes),
            maybe_repeated=sum("maybe_repeated" in event for event in self.events),
        )

    async def write(self, session: AsyncClientSession) -> None:
        """Write it all."""
        await write_events_and_jobs(self.database, self.events, self.jobs, session)
        if self.letters:
            await write_refused(self.database, self.letters, session)
        if self.duplicates:
            await self.database.collection("duplicates").insert_many(self.duplicates, session=session)
        if self.holes:
            await self.database.collection("stream_holes").insert_many(self.holes, session=session)


async def prepare(
    database: Database, position: Position, entries: Sequence[Entry], session: AsyncClientSession
) -> Prepared:
    """Find out what becomes of a batch behind a position, reading only."""
    known = await _known_messages(database, entries, session)
    jobs = await read_jobs(database, {entry.update.job_id for entry in entries if entry.update}, session)
    repeats = await Repeats.find(database, entries, position.bridges, session)
    prepared = Prepared(database, jobs=jobs, holes=_holes(position, entries))
    for entry in entries:
        update = entry.update
        if update is None:
            if entry.letter is not None:
                prepared.letters.append(entry.letter)
            continue
        if entry.message_id is not None:
            key = update.job_id, entry.message_id
            if key in known:
                prepared.duplicates.append(_duplicate(position.stream, entry))
                continue
            known.add(key)
        placement = None
        if update.job_id is not None:
            jobs[update.job_id], placement = fold(jobs.get(update.job_id), update, entry.received_at)
        event = Event(
            id=str(ObjectId()),
            queue=position.stream,
            seq=entry.seq,
            received_at=entry.received_at,
            update=update,
            placement=placement,
            message_id=entry.message_id,
            correlation_id=entry.correlation_id,
            replay_id=entry.replay_id,
            letter_id=entry.letter_id,
            bridge_term=entry.bridge.term if entry.bridge else None,
            maybe_repeated=repeats.first_of(entry),
        )
        prepared.events.append(event_document(event))
        repeats.note(entry, event)
    return prepared


async def _known_messages(
    database: Database, entries: Sequence[Entry], session: AsyncClientSession
) -> set[_MessageKey]:
    """Find the messages that are stored already: a sender of ours repeats what was not confirmed."""
    updates = [(entry.update, entry.message_id) for entry in entries if entry.update and entry.message_id is not None]
    if not updates:
        return set()
    query: Document = {
        "job_id": {"$in": list({update.job_id for update, _ in updates})},
        "message_id": {"$in": list({message_id for _, message_id in updates})},
    }
    fields = {"job_id": 1, "message_id": 1, "_id": 0}
    found = database.extractions.find(query, fields, session=session).hint("message")
    return {(document["job_id"], document["message_id"]) async for document in found}  # type: ignore[misc]


def _duplicate(stream: str, entry: Entry) -> Document:
    return {"queue": stream, "seq": entry.seq, "message_id": entry.message_id, "at": entry.received_at}


def _holes(position: Position, entries: Sequence[Entry]) -> list[Document]:
    """Find the numbers without a message."""
    at = entries[-1].received_at
    if entries[-1].seq - position.seq == len(entries):
        return []
    taken = {entry.seq for entry in entries}
    passed = range(position.seq + 1, entries[-1].seq + 1)
    return [{"queue": position.stream, "seq": seq, "at": at} for seq in passed if seq not in taken]

"""How far each stream of updates has been stored, in the collection `positions`.

One batch is one transaction: what its messages become, and the position behind it. The position is changed only where
it is still what the batch began from; so of two processes that believe to own a stream, one stores and the other one
fails. That is the whole of *exactly once*: acknowledgements have no part in it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import Binary
from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.delivery import Entry, StoredBatch
from jobtrail.models.errors import OwnershipLostError
from jobtrail.models.incident import Incident
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.models.position import FINGERPRINT_BYTES, Position
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import event_from
from jobtrail.store.leases.fenced_writer import FencedWriter
from jobtrail.store.log.hourly_counts import counted, keep
from jobtrail.store.log.incidents import IncidentRepository
from jobtrail.store.log.trail import prepare
from jobtrail.store.refusals import refusals


class StreamPosition:
    """How far one reader has read one stream. Whoever moves it must name the position that it began from.

    `reader_id` is the same for all processes that read the stream for the same purpose.
    """

    def __init__(self, database: Database, reader_id: str, stream: str) -> None:
        self._database = database
        self._stream = stream
        self._id = reader_id
        self._positions = database.collection("positions")
        self._writer = FencedWriter(database)
        self._counts: Document | None = None
        """What was counted of the latest hour; see `store.log.hourly_counts`."""

    async def close(self) -> None:
        """Give the session back to the server."""
        await self._writer.close()

    async def take_over(self) -> None:
        """Become the one that moves the position: a transaction that a predecessor left open is ended."""
        await self._writer.take_over(self._id)

    async def position(self) -> Position:
        """Read the position; a stream that is new gets one."""
        new = {"stream": self._stream, "epoch": 1, "first_offset": 0, "first_seq": 1, "offset": -1}
        with translated():
            document: Mapping[str, Any] | None = await self._positions.find_one_and_update(
                {"_id": self._id}, {"$setOnInsert": new}, upsert=True, return_document=ReturnDocument.AFTER
            )
        self._counts = (document or {}).get("tally")
        return position_from(document or new)

    async def move(
        self,
        position: Position,
        to: Position,
        incident: Incident | None = None,
        outbox: Sequence[OutboxEntry] = (),
    ) -> None:
        """Go on behind some messages, or at another place of the stream; then an incident says why.

        The messages of `outbox` report it. If the position is another one by now, it is an `OwnershipLostError`.
        """

        async def attempt(session: AsyncClientSession) -> None:
            await self._move(position, to, session)
            if incident is not None:
                await IncidentRepository(self._database).add(incident, session, outbox)

        await self._writer.transact(attempt)

    async def _move(
        self, position: Position, to: Position, session: AsyncClientSession, counts: Document | None = None
    ) -> None:
        """Change the position, first of all writes: of two owners only one gets further."""
        change: Document = {
            "epoch": to.epoch,
            "first_offset": to.first_offset,
            "first_seq": to.first_seq,
            "offset": to.offset,
            "fingerprints": Binary(b"".join(to.fingerprints)),
        }
        change["former"] = [{"first_offset": offset, "first_seq": seq} for offset, seq in to.former]
        if to.received_at is not None:
            change["received_at"] = to.received_at
        if to.bridges:
            change["bridges"] = [{"queue": queue, "term": term} for queue, term in to.bridges.items()]
        if counts is not None:
            change["tally"] = counts
        begun: Document = {"_id": self._id, "epoch": position.epoch, "offset": position.offset}
        moved = await self._positions.update_one(begun, {"$set": change, "$unset": {"gone": ""}}, session=session)
        if not moved.matched_count:
            raise OwnershipLostError(
                f"{self._stream} is no longer at offset {position.offset}: another process moved it"
            )


class Log(StreamPosition):
    """The position up to which a stream's updates are stored, and what is stored with it."""

    def __init__(self, database: Database, stream: str) -> None:
        super().__init__(database, f"stream {stream}", stream)

    async def append(self, position: Position, entries: Sequence[Entry], last: Position) -> StoredBatch:
        """Store the messages that follow a position, and the position `last` behind them, in one transaction.

        If the position is another one by now, it is an `OwnershipLostError`; a document that can't be stored, whatever
        one tries, is a `DecodeError`. After a `StoreError`, `position` tells whether the batch was stored.
        """

        async def attempt(session: AsyncClientSession) -> tuple[StoredBatch, Document]:
            prepared = await prepare(self._database, position, entries, session)
            with refusals():
                numbers = range(position.seq + 1, last.seq + 1)
                at = entries[-1].received_at
                counts, ended = counted(self._counts, self._stream, numbers, at=at, stored=prepared.stored)
                await self._move(position, last, session, counts)
                await prepared.write(session)
                if ended is not None:
                    await keep(self._database, ended, session)
            return prepared.stored, counts

        stored, self._counts = await self._writer.transact(attempt)
        return stored

    async def note_caught_up(self, moment: datetime) -> None:
        """Note that everything which was in the stream at a moment is stored; see `consumer.order`."""
        with translated():
            await self._positions.update_one({"_id": self._id}, {"$set": {"caught_up_at": moment}})

    async def note_gone(self) -> None:
        """Note that the stream, one of a former layout, is not on the broker any more."""
        with translated():
            await self._positions.update_one({"_id": self._id}, {"$set": {"gone": True}})

    async def is_stored(self, entry: Entry) -> bool:
        """Tell whether a message that the stream has now is the one that was stored with its number."""
        at: Document = {"queue": self._stream, "seq": entry.seq}
        with translated():
            event = await self._database.extractions.find_one(at)
            if event is not None:
                stored = event_from(event)
                return (stored.update, stored.message_id) == (entry.update, entry.message_id)
            if await self._database.collection("duplicates").find_one(at | {"message_id": entry.message_id}):
                return True
            if entry.letter is None:
                return False
            letter = {"origin": self._stream, "origin_seq": entry.seq, "size_bytes": entry.letter.size_bytes}
            return await self._database.collection("dead_letters").find_one(letter, {"_id": 1}) is not None


def position_from(document: Mapping[str, Any]) -> Position:
    """Read a position back from its document."""
    packed = bytes(document.get("fingerprints", b""))
    return Position(
        stream=document["stream"],
        epoch=document["epoch"],
        first_offset=document["first_offset"],
        first_seq=document["first_seq"],
        offset=document["offset"],
        fingerprints=[packed[at : at + FINGERPRINT_BYTES] for at in range(0, len(packed), FINGERPRINT_BYTES)],
        received_at=document.get("received_at"),
        former=[(epoch["first_offset"], epoch["first_seq"]) for epoch in document.get("former", ())],
        bridges={bridge["queue"]: bridge["term"] for bridge in document.get("bridges", ())},
    )

"""Stores captured messages as dead letters, in the transaction that counts them in the position of their queue.

The position tells how many messages of a queue were taken, not which ones: a queue has no offsets. It numbers the
dead letters, and it is the fence: each session writes its name into it, and stores only while that name stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterKind, LetterState
from jobtrail.models.delivery import StoredBatch
from jobtrail.models.errors import OwnershipLostError
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.dead_letters.dead_letters import new_letters, write_letters
from jobtrail.store.dead_letters.documents import FREE
from jobtrail.store.dead_letters.repeats import Fingerprint, LetterRepeats, add_fingerprints
from jobtrail.store.dead_letters.returns import CAN_FAIL_AGAIN, note_returns
from jobtrail.store.leases.fenced_writer import FencedWriter
from jobtrail.store.log.hourly_counts import counted, keep
from jobtrail.store.refusals import refusals


@dataclass(slots=True, kw_only=True)
class CapturedLetter:
    """A message taken from a dead-letter queue."""

    letter: DeadLetter
    redelivered: bool
    """Whether the broker had delivered it before."""


class LetterTrail:
    """Stores what one session captures from one queue."""

    def __init__(self, database: Database, queue: str, fingerprint: Fingerprint) -> None:
        self._database = database
        self._queue = queue
        self._fingerprint = fingerprint
        self._id = f"queue {queue}"
        self._positions = database.collection("positions")
        self._writer = FencedWriter(database)
        self._session = uuid4().hex
        self._seq = 0
        self._at: datetime | None = None
        self._repeats = LetterRepeats(database, queue, 0)

    async def close(self) -> None:
        """Give the session back to the server."""
        await self._writer.close()

    async def take_over(self) -> None:
        """Become the only writer for the queue; a predecessor's open transaction is ended."""
        await self._writer.take_over(self._id)
        with translated():
            if await self._positions.find_one({"_id": self._id}, {"_id": 1}) is None:
                await self._begin()
            position: Mapping[str, Any] | None = await self._positions.find_one_and_update(
                {"_id": self._id}, {"$set": {"session": self._session}}, return_document=ReturnDocument.AFTER
            )
        if position is None:
            raise OwnershipLostError(f"the position of {self._queue} was removed")
        self._seq, self._at = position["seq"], position.get("received_at")
        self._repeats = LetterRepeats(self._database, self._queue, self._seq)

    async def store(self, captured: Sequence[CapturedLetter]) -> StoredBatch:
        """Store a batch, whole or not at all; after an error other than `DecodeError` a new session is needed.

        Raises:
            OwnershipLostError: Another process captures the queue now.
            DecodeError: The database refuses a document for good.
        """
        letters = [each.letter for each in captured]
        await self._repeats.mark([each.letter for each in captured if each.redelivered and _is_unmarked(each.letter)])
        numbers = range(self._seq + 1, self._seq + 1 + len(letters))
        for seq, letter in zip(numbers, letters, strict=True):
            letter.seq = seq
        at = max(
            letters[-1].captured_at, self._at or letters[-1].captured_at
        )  # hours follow each other, clocks may not
        stored = await self._writer.transact(lambda session: self._append(letters, numbers, at, session))
        self._seq, self._at = numbers[-1], at
        return stored

    async def _append(
        self, letters: Sequence[DeadLetter], numbers: range, at: datetime, session: AsyncClientSession
    ) -> StoredBatch:
        with refusals():
            await self._move(numbers, at, session)
            new = await new_letters(self._database, letters, session)
            firsts = [letter for letter in new if letter.maybe_repeated is None]
            await self._find_parents(firsts, session)
            await write_letters(self._database, new, session)
            await note_returns(self._database, firsts, session)
            stored = StoredBatch(
                stored=len(new), duplicates=len(letters) - len(new), maybe_repeated=len(new) - len(firsts)
            )
            counts, _ = counted(None, self._queue, numbers, at=at, stored=stored)
            await keep(self._database, counts, session)
        return stored

    async def _move(self, numbers: range, at: datetime, session: AsyncClientSession) -> None:
        """Move the position before any other write: of two sessions on the queue only one gets further."""
        ours: Document = {"_id": self._id, "session": self._session, "seq": numbers[0] - 1}
        change: Document = {"$set": {"seq": numbers[-1], "received_at": at}}
        moved = await self._positions.update_one(ours, change, session=session)
        if not moved.matched_count:
            raise OwnershipLostError(f"another process captures {self._queue} now")

    async def _begin(self) -> None:
        """Create the position; the numbering of earlier versions, which had none, continues."""
        last_seq = 0
        for name, field in (("dead_letters", "seq"), ("dead_letter_archive", "seq"), ("tallies", "last_seq")):
            last: Mapping[str, Any] | None = await self._database.collection(name).find_one(
                {"queue": self._queue}, {field: 1}, sort=[(field, -1)]
            )
            last_seq = max(last_seq, last[field] if last else 0)
        if last_seq:
            await add_fingerprints(self._database, self._queue, last_seq, self._fingerprint)
        new: Document = {"queue": self._queue, "seq": last_seq}
        await self._positions.update_one({"_id": self._id}, {"$setOnInsert": new}, upsert=True)

    async def _find_parents(self, letters: Sequence[DeadLetter], session: AsyncClientSession) -> None:
        """Find the parents of job requests by their job, as workers do not pass on headers."""
        orphans = [
            letter
            for letter in letters
            if letter.kind is LetterKind.REQUEST and letter.job_id is not None and letter.parent is None
        ]
        if not orphans:
            return
        query: Document = {
            "job_id": {"$in": [letter.job_id for letter in orphans]},
            "kind": LetterKind.REQUEST.value,
            "state": {"$in": [*CAN_FAIL_AGAIN, LetterState.FAILED_AGAIN.value]},
            "sendings.child": {"$exists": False},
        } | FREE
        fields = {"job_id": 1, "origin": 1, "replay_id": 1}
        found = self._database.collection("dead_letters").find(query, fields, session=session).sort("_id", 1)
        parents = {(document["job_id"], document["origin"]): document async for document in found}
        for letter in orphans:
            parent = parents.get((letter.job_id, letter.cause.origin))
            if parent is not None:
                letter.parent, letter.sent_by = str(parent["_id"]), str(parent["replay_id"])


def _is_unmarked(letter: DeadLetter) -> bool:
    return letter.key is None and letter.maybe_repeated is None

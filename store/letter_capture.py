"""Captured messages become letters, in the transaction of their chain's link."""

from collections.abc import Sequence
from dataclasses import dataclass

from pymongo.asynchronous.client_session import AsyncClientSession

from models.delivery import Batch, Delivered, StoredBatch
from models.letter import Letter, LetterKind, LetterState
from store.chain import Chain, Write
from store.database import Document
from store.letter_documents import FREE
from store.letter_returns import CAN_FAIL_AGAIN, note_returns
from store.letters import new_letters, write_letters


@dataclass(slots=True, kw_only=True)
class CapturedLetter(Delivered):
    """A message taken from a dead-letter queue."""

    letter: Letter


class LetterTrail(Chain):
    """Stores what is captured from dead-letter queues.

    Args:
        database: The trail's database.
    """

    async def store(self, batch: Batch[CapturedLetter]) -> StoredBatch:
        """Store one batch of letters; see `Chain.append`.

        Args:
            batch: The deliveries.

        Returns:
            How many were stored, and how many were duplicates.

        Raises:
            OwnershipLostError: Another process stored this part of the queue.
            DecodeError: A document can't be stored, whatever one tries.
            StoreError: The database can't be reached or refused.
        """
        return await self.append(batch, lambda session: self._prepare(batch, session))

    async def _prepare(self, batch: Batch[CapturedLetter], session: AsyncClientSession) -> tuple[StoredBatch, Write]:
        for seq, delivery in enumerate(batch.deliveries, batch.first_seq):
            delivery.letter.seq = seq
        letters = await new_letters(self._database, [delivery.letter for delivery in batch.deliveries], session)
        await self._find_parents(letters, session)

        async def write() -> None:
            await write_letters(self._database, letters, session)
            await note_returns(self._database, letters, session)

        return StoredBatch(stored=len(letters), duplicates=len(batch.deliveries) - len(letters)), write

    async def _find_parents(self, letters: Sequence[Letter], session: AsyncClientSession) -> None:
        """Find the former letters of job requests: workers pass on no headers, so it is told by the job."""
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

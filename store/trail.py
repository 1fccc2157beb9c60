"""The write side of the trail: batches of deliveries become events and jobs, whole or not at all.

One batch is one transaction: its events, the jobs they change, and one link of the queue's chain of deliveries. The
chain's links follow each other without a gap and are unique, so that of two consumers that believe to own a queue
only one can store.
"""

from collections.abc import Sequence
from typing import Any

from bson import Binary, ObjectId
from bson.errors import BSONError
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DocumentTooLarge, OperationFailure

from models.delivery import FINGERPRINT_BYTES, Batch, Position, StoredBatch
from models.errors import DecodeError
from models.job import Event, Job, fold
from models.redaction import redact
from models.settings import MAX_PREFETCH
from models.wire import DeadLetterReason
from store.database import Database, Document, translated
from store.documents import event_document
from store.projection import read_jobs, write_events_and_jobs
from store.sole_writer import SoleWriter

_REMEMBERED = 2 * MAX_PREFETCH
"""Deliveries whose fingerprints are kept per queue: more than any prefetch window holds."""
_REFUSALS = frozenset({2, 14, 22, 121, 10334, 17280, 17419, 17420})
"""MongoDB's codes for a document that it will never take: BadValue, TypeMismatch, InvalidBSON,
DocumentValidationFailure, BSONObjectTooLarge, KeyTooLong, and a document that grew too large."""


class Trail:
    """Stores what consumers take from the reply queues.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._writer = SoleWriter(database)

    async def close(self) -> None:
        """Give the session back to the server."""
        await self._writer.close()

    async def take_over(self, queue: str) -> None:
        """Become the one that stores a queue's messages, as the broker's active consumer of it.

        Args:
            queue: The reply queue.

        Raises:
            StoreError: The database can't be reached.
        """
        await self._writer.take_over(f"reply queue {queue}")

    async def position(self, queue: str) -> Position:
        """Read how far a queue has been stored.

        Args:
            queue: The reply queue.

        Returns:
            The position, with enough of the latest deliveries to recognise whatever the broker may deliver again.

        Raises:
            StoreError: The database can't be reached.
        """
        fingerprints: list[bytes] = []
        anchors: list[int] = []
        newest: Document | None = None
        fresh = False
        with translated():
            async for link in self._database.deliveries.find({"queue": queue}).sort("first_seq", -1):
                newest = newest or link
                packed = bytes(link["fingerprints"])  # type: ignore[call-overload]
                parts = [packed[at : at + FINGERPRINT_BYTES] for at in range(0, len(packed), FINGERPRINT_BYTES)]
                fingerprints[:0] = parts
                if not fresh:
                    anchors[:0] = link["anchors"]  # type: ignore[call-overload]
                    fresh = bool(link["fresh"])
                if len(fingerprints) >= MAX_PREFETCH:
                    break
        if newest is None:
            return Position()
        return Position(
            last_seq=newest["last_seq"],  # type: ignore[arg-type]
            anchors=anchors if fresh or len(fingerprints) >= MAX_PREFETCH else [1, *anchors],
            fingerprints=fingerprints,
            received_at=newest["received_at"],  # type: ignore[arg-type]
        )

    async def store(self, batch: Batch) -> StoredBatch:
        """Store one batch in one transaction.

        Args:
            batch: The deliveries, in the order of the queue; its first number must follow the queue's last stored one.

        Returns:
            How many were stored, and how many were duplicates or dead letters.

        Raises:
            OwnershipLostError: Another consumer stored this part of the queue.
            DecodeError: A document can't be stored, whatever one tries.
            StoreError: The database can't be reached or refused; whether the batch was stored is then told by
                `position`.
        """
        stored = await self._writer.transact(lambda session: self._store(batch, session))
        if batch.first_seq // _REMEMBERED != batch.last_seq // _REMEMBERED:
            await self._forget(batch.queue, before_seq=batch.last_seq - _REMEMBERED)
        return stored

    async def move_anchor(self, queue: str, last_seq: int, anchor: int, *, fresh: bool = False) -> None:
        """Note that deliveries of the last stored batch and before were acknowledged without storing new ones.

        Args:
            queue: The reply queue.
            last_seq: The last stored delivery's number.
            anchor: The number of the first delivery that is not acknowledged.
            fresh: Whether the anchors stored earlier count no more: the acknowledgement is known to have arrived.

        Raises:
            StoreError: The database can't be reached.
        """
        change: Document = {"$set": {"fresh": True, "anchors": [anchor]}} if fresh else {"$push": {"anchors": anchor}}
        with translated():
            await self._database.deliveries.update_one({"queue": queue, "last_seq": last_seq}, change)

    async def _store(self, batch: Batch, session: AsyncClientSession) -> StoredBatch:
        known = await self._known_message_ids(batch, session)
        ids = {delivery.update.job_id for delivery in batch.deliveries if delivery.update}
        jobs = await read_jobs(self._database, ids, session)
        events: list[Document] = []
        dead_lettered = 0
        for seq, delivery in enumerate(batch.deliveries, batch.first_seq):
            update = delivery.update
            if update is None:
                dead_lettered += 1
                continue
            if delivery.message_id is not None:
                if delivery.message_id in known:
                    continue
                known.add(delivery.message_id)
            placement = None
            if update.job_id is not None:
                jobs[update.job_id], placement = fold(jobs.get(update.job_id), update, delivery.received_at)
            event = Event(
                id=str(ObjectId()),
                queue=batch.queue,
                seq=seq,
                received_at=delivery.received_at,
                update=update,
                placement=placement,
                message_id=delivery.message_id,
                correlation_id=delivery.correlation_id,
            )
            events.append(event_document(event))
        stored = StoredBatch(
            stored=len(events),
            duplicates=len(batch.deliveries) - dead_lettered - len(events),
            dead_lettered=dead_lettered,
        )
        await self._write(events, jobs, _link(batch, stored), session)
        return stored

    async def _known_message_ids(self, batch: Batch, session: AsyncClientSession) -> set[str]:
        ids = [delivery.message_id for delivery in batch.deliveries if delivery.message_id is not None]
        if not ids:
            return set()
        found = self._database.extractions.find(
            {"message_id": {"$in": ids}}, {"message_id": 1, "_id": 0}, session=session
        ).hint("message_id")
        return {str(document["message_id"]) async for document in found}

    async def _write(
        self, events: Sequence[Document], jobs: dict[str, Job], link: Document, session: AsyncClientSession
    ) -> None:
        try:
            # The link first: of two consumers only one gets further.
            await self._database.deliveries.insert_one(link, session=session)
            await write_events_and_jobs(self._database, events, jobs, session)
        except (BSONError, DocumentTooLarge, OverflowError, UnicodeError) as error:
            raise DecodeError(DeadLetterReason.UNSTORABLE, redact(str(error))[:300]) from error
        except OperationFailure as error:
            details = error.details or {}
            refusal: dict[str, Any] = next(
                (entry for entry in [*details.get("writeErrors", ()), details] if "code" in entry), {}
            )
            if refusal.get("code") not in _REFUSALS:
                raise
            raise DecodeError(DeadLetterReason.UNSTORABLE, redact(str(refusal.get("errmsg")))[:300]) from error

    async def _forget(self, queue: str, before_seq: int) -> None:
        with translated():
            await self._database.deliveries.delete_many({"queue": queue, "last_seq": {"$lt": before_seq}})


def _link(batch: Batch, stored: StoredBatch) -> Document:
    return {
        "queue": batch.queue,
        "first_seq": batch.first_seq,
        "last_seq": batch.last_seq,
        "anchors": list(batch.anchors),
        "fresh": batch.fresh,
        "fingerprints": Binary(b"".join(delivery.fingerprint for delivery in batch.deliveries)),
        "received_at": batch.deliveries[-1].received_at,
        "stored": stored.stored,
        "duplicates": stored.duplicates,
        "dead_lettered": stored.dead_lettered,
    }

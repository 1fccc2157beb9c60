"""The chain of deliveries: how far each queue has been stored, link by link.

One batch is one transaction: what its deliveries become, one link of the queue's chain, and the hour's tally. The
chain's links follow each other without a gap and are unique, so that of two consumers that believe to own a queue only
one can store.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from bson import Binary
from bson.errors import BSONError
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DocumentTooLarge, OperationFailure

from models.delivery import FINGERPRINT_BYTES, Batch, Delivered, Position, StoredBatch
from models.errors import DecodeError
from models.redaction import redact
from models.settings import MAX_PREFETCH
from models.wire import DeadLetterReason
from store.database import REFUSALS, Database, Document, translated
from store.sole_writer import SoleWriter
from store.tallies import tally

D = TypeVar("D", bound=Delivered)
Write = Callable[[], Awaitable[None]]
Prepare = Callable[[AsyncClientSession], Awaitable[tuple[StoredBatch, Write]]]
"""Finds out what becomes of a batch, reading only, and returns what writes that."""

_REMEMBERED = 2 * MAX_PREFETCH
"""Deliveries whose fingerprints are kept per queue: more than any prefetch window holds."""


class Chain:
    """Stores batches of deliveries, whole or not at all.

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
            queue: The queue.

        Raises:
            StoreError: The database can't be reached.
        """
        await self._writer.take_over(f"reply queue {queue}")

    async def position(self, queue: str) -> Position:
        """Read how far a queue has been stored.

        Args:
            queue: The queue.

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

    async def append(self, batch: Batch[D], prepare: Prepare) -> StoredBatch:
        """Store one batch, and the link for it, in one transaction.

        Args:
            batch: The deliveries, in the order of the queue; its first number must follow the queue's last stored one.
            prepare: What becomes of them.

        Returns:
            How many were stored, and how many were duplicates or dead letters.

        Raises:
            OwnershipLostError: Another consumer stored this part of the queue.
            DecodeError: A document can't be stored, whatever one tries.
            StoreError: The database can't be reached or refused; whether the batch was stored is then told by
                `position`.
        """

        async def attempt(session: AsyncClientSession) -> StoredBatch:
            stored, write = await prepare(session)
            with _refusals():
                # The link first: of two consumers only one gets further.
                await self._database.deliveries.insert_one(_link(batch, stored), session=session)
                await tally(self._database, batch, stored, session)
                await write()
            return stored

        stored = await self._writer.transact(attempt)
        if batch.first_seq // _REMEMBERED != batch.last_seq // _REMEMBERED:
            await self._forget(batch.queue, before_seq=batch.last_seq - _REMEMBERED)
        return stored

    async def move_anchor(self, queue: str, last_seq: int, anchor: int, *, fresh: bool = False) -> None:
        """Note that deliveries of the last stored batch and before were acknowledged without storing new ones.

        Args:
            queue: The queue.
            last_seq: The last stored delivery's number.
            anchor: The number of the first delivery that is not acknowledged.
            fresh: Whether the anchors stored earlier count no more: the acknowledgement is known to have arrived.

        Raises:
            StoreError: The database can't be reached.
        """
        change: Document = {"$set": {"fresh": True, "anchors": [anchor]}} if fresh else {"$push": {"anchors": anchor}}
        with translated():
            await self._database.deliveries.update_one({"queue": queue, "last_seq": last_seq}, change)

    async def _forget(self, queue: str, before_seq: int) -> None:
        with translated():
            await self._database.deliveries.delete_many({"queue": queue, "last_seq": {"$lt": before_seq}})


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell a document that the database will never take from other errors.

    Raises:
        DecodeError: There is such a document in the batch.
    """
    try:
        yield
    except (BSONError, DocumentTooLarge, OverflowError, UnicodeError) as error:
        raise DecodeError(DeadLetterReason.UNSTORABLE, redact(str(error))[:300]) from error
    except OperationFailure as error:
        details = error.details or {}
        refusal: dict[str, Any] = next(
            (entry for entry in [*details.get("writeErrors", ()), details] if "code" in entry), {}
        )
        if refusal.get("code") not in REFUSALS:
            raise
        raise DecodeError(DeadLetterReason.UNSTORABLE, redact(str(refusal.get("errmsg")))[:300]) from error


def _link(batch: Batch[D], stored: StoredBatch) -> Document:
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

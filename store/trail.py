"""The write side of the trail: batches of updates become events and jobs, in the transaction of their chain's link."""

from collections.abc import Sequence

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from models.delivery import Batch, Delivery, StoredBatch
from models.job import Event, fold
from store.chain import Chain, Write
from store.database import Database, Document
from store.documents import event_document
from store.projection import read_jobs, write_events_and_jobs


class Trail(Chain):
    """Stores what consumers take from the reply queues.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._extractions = database.extractions

    async def store(self, batch: Batch[Delivery]) -> StoredBatch:
        """Store one batch of updates; see `Chain.append`.

        Args:
            batch: The deliveries.

        Returns:
            How many were stored, and how many were duplicates or dead letters.

        Raises:
            OwnershipLostError: Another consumer stored this part of the queue.
            DecodeError: A document can't be stored, whatever one tries.
            StoreError: The database can't be reached or refused.
        """
        return await self.append(batch, lambda session: self._prepare(batch, session))

    async def _prepare(self, batch: Batch[Delivery], session: AsyncClientSession) -> tuple[StoredBatch, Write]:
        known = await self._known_message_ids(batch.deliveries, session)
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
                replay_id=delivery.replay_id,
                letter_id=delivery.letter_id,
            )
            events.append(event_document(event))
        stored = StoredBatch(
            stored=len(events),
            duplicates=len(batch.deliveries) - dead_lettered - len(events),
            dead_lettered=dead_lettered,
        )
        return stored, lambda: write_events_and_jobs(self._database, events, jobs, session)

    async def _known_message_ids(self, deliveries: Sequence[Delivery], session: AsyncClientSession) -> set[str]:
        ids = [delivery.message_id for delivery in deliveries if delivery.message_id is not None]
        if not ids:
            return set()
        found = self._extractions.find({"message_id": {"$in": ids}}, {"message_id": 1, "_id": 0}, session=session).hint(
            "message_id"
        )
        return {str(document["message_id"]) async for document in found}

"""What was taken from each queue and what became of it, counted by the hour: the books of the conservation audit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession

from models.conservation import Tally
from models.delivery import Batch, Delivered, StoredBatch
from store.database import Database, translated

D = TypeVar("D", bound=Delivered)


async def tally(database: Database, batch: Batch[D], stored: StoredBatch, session: AsyncClientSession) -> None:
    """Count a batch in the hour in which its last delivery was received.

    Args:
        database: The trail's database.
        batch: The deliveries.
        stored: What became of them.
        session: The transaction's session.
    """
    hour = batch.deliveries[-1].received_at.replace(minute=0, second=0, microsecond=0)
    await database.collection("tallies").update_one(
        {"_id": f"{batch.queue}/{hour:%Y-%m-%dT%H}"},
        {
            "$setOnInsert": {"queue": batch.queue, "hour": hour, "first_seq": batch.first_seq},
            "$set": {"last_seq": batch.last_seq},
            "$inc": {
                "handed_out": len(batch.deliveries),
                "stored": stored.stored,
                "duplicates": stored.duplicates,
                "dead_lettered": stored.dead_lettered,
            },
        },
        upsert=True,
        session=session,
    )


class TallyRepository:
    """The tallies, in the collection `tallies`.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        self._tallies = database.collection("tallies")

    async def since(self, moment: datetime) -> Sequence[Tally]:
        """Read the tallies of the hours that end after a moment.

        Args:
            moment: The moment.

        Returns:
            The tallies, by queue, then by hour.

        Raises:
            StoreError: The database can't be reached.
        """
        begin = moment.replace(minute=0, second=0, microsecond=0)
        with translated():
            return [
                _tally(document)
                async for document in self._tallies.find({"hour": {"$gte": begin}}).sort([("queue", 1), ("hour", 1)])
            ]


def _tally(document: Mapping[str, Any]) -> Tally:
    return Tally(
        queue=document["queue"],
        hour=document["hour"],
        first_seq=document["first_seq"],
        last_seq=document["last_seq"],
        handed_out=document["handed_out"],
        stored=document["stored"],
        duplicates=document["duplicates"],
        dead_lettered=document["dead_lettered"],
    )

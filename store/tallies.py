"""What was taken from each queue and what became of it, counted by the hour: the books of the conservation audit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from models.conservation import Tally
from models.delivery import StoredBatch
from store.database import Database, Document, translated


async def tally(
    database: Database, queue: str, numbers: range, *, at: datetime, stored: StoredBatch, session: AsyncClientSession
) -> None:
    """Count a batch in the hour in which its last message was received.

    Args:
        database: The trail's database.
        queue: The queue or stream.
        numbers: The messages' numbers in its order of arrival.
        at: When the last one was received.
        stored: What became of them.
        session: The transaction's session.
    """
    hour = _hour_of(at)
    await database.collection("tallies").update_one(
        {"_id": f"{queue}/{hour:%Y-%m-%dT%H}"},
        {
            "$setOnInsert": {"queue": queue, "hour": hour, "first_seq": numbers.start},
            "$set": {"last_seq": numbers.stop - 1},
            "$inc": {
                "handed_out": len(numbers),
                "stored": stored.stored,
                "duplicates": stored.duplicates,
                "dead_lettered": stored.dead_lettered,
                "unused": stored.unused,
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
        """
        with translated():
            found = self._tallies.find({"hour": {"$gte": _hour_of(moment)}}).sort([("queue", 1), ("hour", 1)])
            return [_tally(document) async for document in found]

    async def last_before(self, moment: datetime) -> Mapping[str, Tally]:
        """Read the last tally of each queue before those of `since`.

        Args:
            moment: The moment.

        Returns:
            The tallies, by queue.
        """
        latest: list[Document] = [
            {"$match": {"hour": {"$lt": _hour_of(moment)}}},
            {"$sort": {"hour": -1}},
            {"$group": {"_id": "$queue", "tally": {"$first": "$$ROOT"}}},
        ]
        with translated():
            found: Sequence[Mapping[str, Any]] = await (await self._tallies.aggregate(latest)).to_list()
        return {each["_id"]: _tally(each["tally"]) for each in found}


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


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
        unused=document.get("unused", 0),
    )

"""What was taken from each queue and what became of it, counted by the hour: the books of the conservation audit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.accounting import HourlyCount
from jobtrail.models.delivery import StoredBatch
from jobtrail.store.database import Database, Document, translated

_COUNTS = ("handed_out", "stored", "duplicates", "dead_lettered", "unused")


def counted(
    counts: Document | None, queue: str, numbers: range, *, at: datetime, stored: StoredBatch
) -> tuple[Document, Document | None]:
    """Count a batch in the hour in which its last message was received, at `at`.

    `numbers` are the messages' numbers in the order of arrival. Return the hour's counts with the batch, and `counts`
    if they are those of an hour that has ended.
    """
    hour = _hour_of(at)
    now: Document = {
        "queue": queue,
        "hour": hour,
        "first_seq": numbers.start,
        "last_seq": numbers.stop - 1,
        "handed_out": len(numbers),
        "stored": stored.stored,
        "duplicates": stored.duplicates,
        "dead_lettered": stored.dead_lettered,
        "unused": stored.unused,
    }
    if counts is None or counts["hour"] != hour:
        return now, counts
    return now | {"first_seq": counts["first_seq"]} | {name: counts[name] + now[name] for name in _COUNTS}, None  # type: ignore[operator]


async def keep(database: Database, counts: Document, session: AsyncClientSession) -> None:
    """Add the counts of an hour to those of the same hour that are kept already."""
    hour: datetime = counts["hour"]  # type: ignore[assignment]
    await database.collection("tallies").update_one(
        {"_id": f"{counts['queue']}/{hour:%Y-%m-%dT%H}"},
        {
            "$setOnInsert": {name: counts[name] for name in ("queue", "hour", "first_seq")},
            "$set": {"last_seq": counts["last_seq"]},
            "$inc": {name: counts[name] for name in _COUNTS},
        },
        upsert=True,
        session=session,
    )


class TallyRepository:
    """The counts of each hour, in the collection `tallies`; those of a stream's latest hour are in its position."""

    def __init__(self, database: Database) -> None:
        self._tallies = database.collection("tallies")
        self._positions = database.collection("positions")

    async def since(self, moment: datetime) -> Sequence[HourlyCount]:
        """Read the counts of the hours that end after a moment, by queue, then by hour."""
        begin = _hour_of(moment)
        # The latest hours first: one that is moved meanwhile is then read twice, and not passed over.
        tallies = {_key(tally): tally for tally in await self._latest() if tally.hour >= begin}
        with translated():
            async for document in self._tallies.find({"hour": {"$gte": begin}}):
                tally = _tally(document)
                tallies[_key(tally)] = _whole(tally, tallies.get(_key(tally)))
        return [tallies[key] for key in sorted(tallies)]

    async def last_before(self, moment: datetime) -> Mapping[str, HourlyCount]:
        """Read the last counts of each queue before those of `since`."""
        latest: list[Document] = [
            {"$match": {"hour": {"$lt": _hour_of(moment)}}},
            {"$sort": {"hour": -1}},
            {"$group": {"_id": "$queue", "tally": {"$first": "$$ROOT"}}},
        ]
        with translated():
            found: Sequence[Mapping[str, Any]] = await (await self._tallies.aggregate(latest)).to_list()
        tallies = {each["_id"]: _tally(each["tally"]) for each in found}
        for tally in await self._latest():
            known = tallies.get(tally.queue)
            if tally.hour < _hour_of(moment) and (known is None or known.hour <= tally.hour):
                tallies[tally.queue] = tally if known is None or known.hour < tally.hour else _whole(tally, known)
        return tallies

    async def _latest(self) -> Sequence[HourlyCount]:
        with translated():
            found = self._positions.find({"tally": {"$exists": True}}, {"tally": 1})
            return [_tally(document["tally"]) async for document in found]  # type: ignore[arg-type]


def _key(tally: HourlyCount) -> tuple[str, datetime]:
    return tally.queue, tally.hour


def _whole(tally: HourlyCount, other: HourlyCount | None) -> HourlyCount:
    """Put together what was counted of an hour in two places; what begins alike is the same, counted further."""
    if other is None:
        return tally
    if tally.first_seq == other.first_seq:
        return max(tally, other, key=lambda each: each.last_seq)
    return HourlyCount(
        queue=tally.queue,
        hour=tally.hour,
        first_seq=min(tally.first_seq, other.first_seq),
        last_seq=max(tally.last_seq, other.last_seq),
        handed_out=tally.handed_out + other.handed_out,
        stored=tally.stored + other.stored,
        duplicates=tally.duplicates + other.duplicates,
        dead_lettered=tally.dead_lettered + other.dead_lettered,
        unused=tally.unused + other.unused,
    )


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _tally(document: Mapping[str, Any]) -> HourlyCount:
    return HourlyCount(
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

"""Groups of dead letters with one fingerprint: counted on every write and move, so that reading counts nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import UNSETTLED, CauseGroup, DeadLetter, Fix
from jobtrail.models.errors import NotFoundError
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.dead_letters.documents import cause_fields, group_from
from jobtrail.store.keyset import Page, SortOrder, read_page

HOURS_SHOWN = 48
"""Hours of a group's sparkline."""
_LATEST_FIRST = SortOrder(field="last_seen", direction=-1)


async def count_new(database: Database, letters: Sequence[DeadLetter], session: AsyncClientSession) -> None:
    """Count new dead letters in their groups; create the groups that are new."""
    by_cause: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        by_cause.setdefault(letter.cause_id, []).append(letter)
    await database.collection("dead_letter_causes").bulk_write(
        [_counted(cause_id, some) for cause_id, some in by_cause.items()], session=session
    )
    hours = Counter((letter.cause_id, _hour(letter.captured_at)) for letter in letters)
    await database.collection("dead_letter_hours").bulk_write(
        [
            UpdateOne(
                {"_id": f"{cause_id}/{hour:%Y-%m-%dT%H}"},
                {"$setOnInsert": {"cause_id": cause_id, "hour": hour}, "$inc": {"count": count}},
                upsert=True,
            )
            for (cause_id, hour), count in hours.items()
        ],
        session=session,
    )


def _counted(cause_id: str, letters: Sequence[DeadLetter]) -> UpdateOne:
    newest = letters[-1]
    counts = Counter(letter.state for letter in letters)
    return UpdateOne(
        {"_id": cause_id},
        {
            "$setOnInsert": {**cause_fields(newest.cause), "kind": newest.kind.value},
            "$set": {"sample_error": newest.error},
            "$min": {"first_seen": min(letter.happened_at for letter in letters)},
            "$max": {"last_seen": max(letter.captured_at for letter in letters)},
            "$inc": {f"counts.{state.value}": count for state, count in counts.items()},
        },
        upsert=True,
    )


class CauseRepository:
    """The groups, in the collections `dead_letter_causes` and `dead_letter_hours`."""

    def __init__(self, database: Database) -> None:
        self._causes = database.collection("dead_letter_causes")
        self._hours = database.collection("dead_letter_hours")

    async def list(self, *, unsettled_only: bool, limit: int, cursor: str | None = None) -> Page[CauseGroup]:
        """Read one page of groups with their hourly counts, those with the newest dead letters first."""
        query: Document = {}
        if unsettled_only:
            query["$or"] = [{f"counts.{state.value}": {"$gt": 0}} for state in UNSETTLED]
        page = await read_page(self._causes, query, _LATEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=await self._with_hours(page.rows), next=page.next)

    async def get(self, cause_id: str) -> CauseGroup:
        """Read one group with its hourly counts.

        Raises:
            NotFoundError: It does not exist.
        """
        with translated():
            document = await self._causes.find_one({"_id": cause_id})
        if document is None:
            raise NotFoundError(f"there is no group of dead letters {cause_id!r}")
        (group,) = await self._with_hours([document])
        return group

    async def note(self, cause_id: str, fix: Fix | None) -> None:
        """Note how a group was fixed; None removes the note.

        Raises:
            NotFoundError: The group does not exist.
        """
        change: Document = {"$unset": {"fix": ""}}
        if fix is not None:
            change = {"$set": {"fix": {"note": fix.note, "who": fix.who, "at": fix.at}}}
        with translated():
            done = await self._causes.update_one({"_id": cause_id}, change)
        if not done.matched_count:
            raise NotFoundError(f"there is no group of dead letters {cause_id!r}")

    async def unsettled(self) -> int:
        """Count the open dead letters of all groups."""
        counts = [{"$ifNull": [f"$counts.{state.value}", 0]} for state in UNSETTLED]
        with translated():
            found = await self._causes.aggregate([{"$group": {"_id": None, "count": {"$sum": {"$add": counts}}}}])
            return sum([int(document["count"]) async for document in found])  # type: ignore[call-overload]

    async def _with_hours(self, documents: Sequence[Mapping[str, Any]]) -> Sequence[CauseGroup]:
        first = _hour(datetime.now(UTC)) - timedelta(hours=HOURS_SHOWN - 1)
        hours: dict[str, list[int]] = {document["_id"]: [0] * HOURS_SHOWN for document in documents}
        with translated():
            async for document in self._hours.find({"cause_id": {"$in": list(hours)}, "hour": {"$gte": first}}):
                index = int((document["hour"] - first).total_seconds() // 3600)  # type: ignore[operator]
                if index < HOURS_SHOWN:
                    hours[str(document["cause_id"])][index] = int(document["count"])  # type: ignore[call-overload]
        return [group_from(document, hours[document["_id"]]) for document in documents]


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)

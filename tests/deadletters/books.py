"""Writes what the log stores of a stream's hours, with numbers only: enough for the audit's books."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from jobtrail.models.delivery import StoredBatch
from jobtrail.store.database import Database
from jobtrail.store.log.hourly_counts import counted, keep

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""The hour that the books end with."""
EVENT, DUPLICATE, LETTER = "e", "d", "l"
_COLLECTIONS = {EVENT: "extractions", DUPLICATE: "duplicates", LETTER: "dead_letters"}


class Books:
    """The books of one stream; the numbers go on from hour to hour.

    Args:
        database: The trail's database.
        stream: The stream.
    """

    def __init__(self, database: Database, stream: str) -> None:
        self._database = database
        self._stream = stream
        self._seq = 0

    async def write(self, outcomes: str, *, hours_ago: int = 0) -> Sequence[int]:
        """Store messages of an hour.

        Args:
            outcomes: What becomes of each: `EVENT`, `DUPLICATE` or `LETTER`.
            hours_ago: Which hour.

        Returns:
            Their numbers.
        """
        numbers = range(self._seq + 1, self._seq + 1 + len(outcomes))
        for outcome in set(outcomes):
            await self._insert(outcome, [n for n, each in zip(numbers, outcomes, strict=True) if each == outcome])
        counts = Counter(outcomes)
        stored = StoredBatch(stored=counts[EVENT], duplicates=counts[DUPLICATE], dead_lettered=counts[LETTER])
        at = NOW - timedelta(hours=hours_ago)
        counted_now, _ = counted(None, self._stream, numbers, at=at, stored=stored)
        await self._database.transact(lambda session: keep(self._database, counted_now, session))
        self._seq = numbers.stop - 1
        return numbers

    def skip(self, count: int) -> None:
        """Let numbers pass that are in no hour."""
        self._seq += count

    async def remove(self, outcome: str, *numbers: int) -> None:
        """Take documents away."""
        query = {"queue": self._stream, "seq": {"$in": list(numbers)}}
        removed = await self._database.collection(_COLLECTIONS[outcome]).delete_many(query)
        assert removed.deleted_count == len(numbers)

    async def double(self, outcome: str, *numbers: int) -> None:
        """Store documents again, each with an id of its own."""
        await self._insert(outcome, numbers)

    async def _insert(self, outcome: str, numbers: Sequence[int]) -> None:
        documents = [
            {"_id": ObjectId(), "queue": self._stream, "seq": number}
            | ({"origin": self._stream, "origin_seq": number} if outcome == LETTER else {})
            for number in numbers
        ]
        await self._database.collection(_COLLECTIONS[outcome]).insert_many(documents)

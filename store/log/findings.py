"""What is found now of what was taken from a queue or a stream within an hour.

A stream's numbers are checked one by one, and MongoDB does most of it. Each number is a bit of a word, and adding up
its bits makes one document of a word's numbers. A word of `_WORD` numbers is whole where `_WORD` documents add up to
all its bits: so many powers of two have this sum only if each is there once. So a number that is gone and one that is
there twice never make up for each other. Only where a word is not whole, the numbers themselves are read.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection

from jobtrail.models.dead_letters.accounting import HourlyCount, QueueFindings, StreamFindings
from jobtrail.store.database import Database, Document, translated

_WORD = 50
"""Numbers per word: so many documents add up to less than 2**63, where MongoDB's integers end."""
_SLICE = 2_000 * _WORD
"""Numbers that are looked at together: what bounds the memory."""
_KEPT_IN = ("extractions", "duplicates", "stream_holes", "dead_letters", "dead_letter_archive")
"""Where a stream's number may be found. A dead letter that is removed from the one goes to the other."""


async def find_in_stream(database: Database, tally: HourlyCount) -> StreamFindings:
    """Look for each number of a stream's hour, and return those that are not found exactly once."""
    collections = [database.collection(name) for name in _KEPT_IN]
    found = StreamFindings()
    # One moment for all collections: else a dead letter that moves meanwhile is seen in both or in none.
    with translated():
        async with database.client.start_session(snapshot=True) as session:
            for first in range(tally.first_seq, tally.last_seq + 1, _SLICE):
                numbers = range(first, min(first + _SLICE, tally.last_seq + 1))
                if not await _all_once(collections, tally.queue, numbers, session):
                    await _read(collections, tally.queue, numbers, session, found)
    return found


async def find_in_queue(database: Database, tally: HourlyCount) -> QueueFindings:
    """Count the documents that have the numbers of a queue's hour."""
    numbers = {"$gte": tally.first_seq, "$lte": tally.last_seq}
    taken: Document = {"queue": tally.queue, "seq": numbers}
    refused: Document = {"origin": tally.queue, "origin_seq": numbers}
    letters, archive = database.collection("dead_letters"), database.collection("dead_letter_archive")
    with translated():
        async with database.client.start_session(snapshot=True) as session:
            stored = captured = 0
            # A queue is a reply queue of the time before streams or a captured one; its messages are in one of these.
            for collection in (database.extractions, letters, archive):
                stored += await collection.count_documents(taken, session=session, hint="arrival")
            for collection in (letters, archive):
                captured += await collection.count_documents(refused, session=session, hint="origin")
    return QueueFindings(stored=stored, letters=captured)


async def _all_once(
    collections: Sequence[AsyncCollection[Document]], queue: str, numbers: range, session: AsyncClientSession
) -> bool:
    """Tell whether each number is found once, by the words that they make."""
    counts, bits = Counter[int](), Counter[int]()
    for collection in collections:
        for word in await _grouped(collection, queue, numbers, session, _WORDS):
            counts[word["_id"]] += word["count"]
            bits[word["_id"]] += int(word["bits"])
    parts = {start: (max(start, numbers.start), min(start + _WORD, numbers.stop)) for start in _starts(numbers)}
    whole = {start: 2 ** (stop - start) - 2 ** (first - start) for start, (first, stop) in parts.items()}
    return bits == whole and counts == {start: stop - first for start, (first, stop) in parts.items()}


def _starts(numbers: range) -> range:
    """Tell where the words of some numbers start: at multiples of `_WORD`."""
    return range(numbers.start - numbers.start % _WORD, numbers.stop, _WORD)


async def _read(
    collections: Sequence[AsyncCollection[Document]],
    queue: str,
    numbers: range,
    session: AsyncClientSession,
    found: StreamFindings,
) -> None:
    """Note the numbers that are not found once."""
    times = [0] * len(numbers)
    for collection in collections:
        for number in await _grouped(collection, queue, numbers, session, _ONE_BY_ONE):
            times[number["_id"] - numbers.start] += number["count"]
    for seq, count in zip(numbers, times, strict=True):
        if count == 0:
            found.missing.add(seq)
        elif count > 1:
            found.doubled.add(seq)


_PLACE: Document = {"$mod": ["$seq", _WORD]}
_WORDS: Document = {
    "_id": {"$subtract": ["$seq", _PLACE]},
    "count": {"$sum": 1},
    "bits": {"$sum": {"$pow": [2, _PLACE]}},
}
_ONE_BY_ONE: Document = {"_id": "$seq", "count": {"$sum": 1}}


async def _grouped(
    collection: AsyncCollection[Document], queue: str, numbers: range, session: AsyncClientSession, groups: Document
) -> Sequence[Mapping[str, Any]]:
    """Group a collection's documents that have one of these numbers; only an index is read."""
    pipeline: list[Document] = [
        {"$match": {"queue": queue, "seq": {"$gte": numbers.start, "$lt": numbers.stop}}},
        {"$group": groups},
    ]
    return await (await collection.aggregate(pipeline, hint="arrival", session=session)).to_list()

"""Marks captured dead letters that may be repetitions of earlier ones.

A queue does not tell its reader which acknowledgements arrived. So a redelivered message may have been stored by an
earlier session, or not. Without an id there is no way to tell: it is stored, and marked if an equal one is on record.
"""

from collections.abc import Callable, Sequence
from typing import Any

from pymongo import UpdateOne

from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.settings import MAX_PREFETCH
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.dead_letters.bodies import LetterBodies

_WINDOW = 2 * MAX_PREFETCH
"""Dead letters before the session's first one that may come again: more than the broker delivers unacknowledged."""
_TOGETHER = 500

Fingerprint = Callable[[bytes, bytes], bytes]
"""Makes a fingerprint of a body and of properties."""


class LetterRepeats:
    """Pairs the redelivered dead letters of one session with equal ones that earlier sessions stored.

    An earlier one is paired at most once per session: if six come again after three were stored, three are repetitions
    and three are new. A repetition is never paired with another one.
    """

    def __init__(self, database: Database, queue: str, last_seq: int) -> None:
        self._letters = database.collection("dead_letters")
        self._earlier: Document = {
            "queue": queue,
            "seq": {"$gt": last_seq - _WINDOW, "$lte": last_seq},
            "maybe_repeated": None,
        }
        self._last_seq = last_seq
        self._firsts: dict[bytes, list[str]] = {}

    async def mark(self, letters: Sequence[DeadLetter]) -> None:
        """Mark possible repetitions among redelivered dead letters without a key, in order, each once per session."""
        fingerprints = {letter.fingerprint for letter in letters if letter.fingerprint is not None}
        await self._find(fingerprints - self._firsts.keys())
        for letter in letters:
            firsts = self._firsts.get(letter.fingerprint or b"")
            letter.maybe_repeated = firsts.pop() if firsts else None

    async def _find(self, fingerprints: set[bytes]) -> None:
        """Find equal ones on record, the latest last: it is the most likely to come again."""
        if not fingerprints or not self._last_seq:
            return
        query = self._earlier | {"fingerprint": {"$in": list(fingerprints)}}
        with translated():
            found: list[dict[str, Any]] = await self._letters.find(query, {"fingerprint": 1, "seq": 1}).to_list()
        for document in sorted(found, key=lambda document: int(document["seq"])):
            self._firsts.setdefault(document["fingerprint"], []).append(str(document["_id"]))


async def add_fingerprints(database: Database, queue: str, last_seq: int, fingerprint: Fingerprint) -> None:
    """Add the fingerprints of a queue's latest dead letters, which earlier versions did not store."""
    letters, bodies = database.collection("dead_letters"), LetterBodies(database)
    query: Document = {"queue": queue, "seq": {"$gt": last_seq - MAX_PREFETCH}, "key": None, "fingerprint": None}
    changes: list[UpdateOne] = []
    async for document in letters.find(query, {"body": 1, "properties": 1, "size_bytes": 1}):
        whole = await bodies.put_back(document)
        mark = fingerprint(bytes(whole["body"]), bytes(whole["properties"]))
        changes.append(UpdateOne({"_id": document["_id"]}, {"$set": {"fingerprint": mark}}))
        if len(changes) == _TOGETHER:
            await letters.bulk_write(changes)
            changes = []
    if changes:
        await letters.bulk_write(changes)

"""Updates that a bridge may have copied twice.

A queue does not say to its reader which acknowledgements arrived. So what a bridge gets redelivered it may have copied
before; it copies it again, and here it is marked where an equal update is on record. Nothing is dropped.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.delivery import BridgeMark, Entry
from jobtrail.models.jobs.job import Event
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.store.database import Database, Document

_MAX_EQUALS = 1000
"""Equal updates of one job that are looked at."""
_Key = tuple[str | None, str, str, str, object]


class Repeats:
    """The equal updates, on record or of the same batch, of which some of a batch may be repetitions.

    Each update is the first of at most one repetition: ten that come back after ten were stored are ten
    repetitions, and the eleventh is a new update.
    """

    def __init__(self, suspects: Sequence[Entry]) -> None:
        self._suspects = {id(entry) for entry in suspects}
        self._firsts: dict[_Key, deque[str]] = {}
        for entry in suspects:
            if entry.update is not None:
                self._firsts[_key(entry.update)] = deque()

    @classmethod
    async def find(
        cls, database: Database, entries: Sequence[Entry], bridges: Mapping[str, int], session: AsyncClientSession
    ) -> "Repeats":
        """Look for equal updates on record. `bridges` are the latest terms of bridges before the batch."""
        seen = dict(bridges)
        suspects = []
        for entry in entries:
            mark = entry.bridge
            if mark is None:
                continue
            if entry.message_id is None and (mark.redelivered or mark.term < seen.get(mark.queue, 0)):
                suspects.append(entry)
            seen[mark.queue] = max(mark.term, seen.get(mark.queue, 0))
        found = cls(suspects)
        terms = {_key(entry.update): entry.bridge.term for entry in suspects if entry.update and entry.bridge}
        for key, firsts in found._firsts.items():
            firsts.extend(await _on_record(database, key, terms[key], session))
        return found

    def first_of(self, entry: Entry) -> str | None:
        """Return the id of the update that an entry may repeat, if any."""
        if entry.update is None or id(entry) not in self._suspects:
            return None
        firsts = self._firsts[_key(entry.update)]
        return firsts.popleft() if firsts else None

    def note(self, entry: Entry, event: Event) -> None:
        """Take note of an update of the batch that is about to be stored."""
        if self._firsts and id(entry) not in self._suspects:
            firsts = self._firsts.get(_key(event.update))
            if firsts is not None:
                firsts.append(event.id)


def latest_terms(bridges: Mapping[str, int], marks: Sequence[BridgeMark]) -> Mapping[str, int]:
    """Tell the latest term of each bridge after some copies."""
    terms = dict(bridges)
    for mark in marks:
        terms[mark.queue] = max(mark.term, terms.get(mark.queue, 0))
    return terms


async def _on_record(database: Database, key: _Key, term: int, session: AsyncClientSession) -> Sequence[str]:
    """Find the equal updates of other bridges of which no other one is a repetition yet, the oldest first."""
    job_id, resource_id, extractor_id, status, start = key
    query: Document = {
        "file_id": resource_id,
        "extractor_id": extractor_id,
        "job_id": job_id,
        "status": status,
        "start": start,
    }
    fields = {"maybe_repeated": 1, "bridge_term": 1}
    equal: Sequence[Mapping[str, Any]] = await (
        database.extractions.find(query, fields, session=session)
        .hint("resource")
        .sort("seq", -1)
        .limit(_MAX_EQUALS)
        .to_list()
    )
    repeated = {document["maybe_repeated"] for document in equal if "maybe_repeated" in document}
    return [
        str(document["_id"])
        for document in reversed(equal)
        if "maybe_repeated" not in document
        and document.get("bridge_term") != term
        and str(document["_id"]) not in repeated
    ]


def _key(update: StatusUpdate) -> _Key:
    return update.job_id, update.resource_id, update.extractor_id, update.status, update.event_time

"""Reads a job's events page by page, as far as a page shows them: long messages are cut inside the database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.query import EventFilter

LINES_PER_PAGE = 200
MAX_SEARCHED = 20_000
"""Events that one page of a search looks through."""
MAX_LETTERS = 2000
"""Of a message so many characters are read."""


@dataclass(slots=True, frozen=True, kw_only=True)
class EventLine:
    """One event of a job."""

    position: int
    attempt: int
    late: bool
    state: Status
    at: datetime
    """The worker's clock."""
    received_at: datetime
    message: str
    """Its first `MAX_LETTERS` characters."""
    message_length: int
    """Characters of the whole message."""
    percent: float | None
    producer_id: str | None
    sequence: int | None
    length_s: float | None
    """Seconds until the next event that came in order; None for the last one and for late ones."""
    replay_id: str | None = None
    """The replay of dead letters by which it came."""
    maybe_repeated: str | None = None
    """The earlier update of which it may be a second copy."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LinePage:
    """A part of a job's events, in order."""

    lines: Sequence[EventLine]
    first: int
    """The first position that was looked at."""
    last: int
    """The last one; less than `first` where there was none."""


class EventLines:
    """Reads events of jobs."""

    def __init__(self, database: Database) -> None:
        self._extractions = database.extractions

    async def page(
        self, job: JobState, wanted: EventFilter, *, after: int | None = None, before: int | None = None
    ) -> LinePage:
        """Read a page of the events that a job counts, behind or before a position, else the latest ones."""
        clauses = wanted.query()
        reach = MAX_SEARCHED if clauses else LINES_PER_PAGE
        if after is not None:
            first, direction = min(after, job.event_count) + 1, 1
            last = min(first + reach - 1, job.event_count)
        else:
            last, direction = min((before or job.event_count + 1) - 1, job.event_count), -1
            first = max(1, last - reach + 1)
        window: Document = {"job_id": job.job_id, "position": {"$gte": first, "$lte": last}}
        found = await self._read(window | clauses, direction)
        if len(found) == LINES_PER_PAGE:
            first, last = (first, found[-1]["position"]) if direction == 1 else (found[0]["position"], last)
        following = await self._following(job.job_id, found)
        return LinePage(
            lines=[_line_from(document, _length_s(document, following)) for document in found], first=first, last=last
        )

    async def line(self, job_id: str, position: int) -> EventLine | None:
        """Read one event, without the length of its step; None where there is none."""
        found = await self._read({"job_id": job_id, "position": position}, 1)
        return _line_from(found[0], None) if found else None

    async def _read(self, query: Document, direction: int) -> list[dict[str, Any]]:
        """Read the first events in one direction, and return them in order."""
        fields: Document = dict.fromkeys(
            (
                "position",
                "attempt",
                "late",
                "state",
                "start",
                "received_at",
                "percent",
                "producer_id",
                "sequence",
                "replay_id",
                "maybe_repeated",
            ),
            1,
        )
        fields |= {
            "_id": 0,
            "message": {"$substrCP": ["$message", 0, MAX_LETTERS]},
            "message_length": {"$strLenCP": "$message"},
        }
        pipeline: list[Document] = [
            {"$match": query},
            {"$sort": {"position": direction}},
            {"$limit": LINES_PER_PAGE},
            {"$project": fields},
        ]
        with translated():
            found = await (await self._extractions.aggregate(pipeline, batchSize=LINES_PER_PAGE)).to_list()
        return found if direction == 1 else found[::-1]

    async def _following(self, job_id: str, found: Sequence[Mapping[str, Any]]) -> dict[int, tuple[datetime, bool]]:
        """Return time and lateness of the events found and of those behind them, by position."""
        known = {document["position"]: (document["start"], document["late"]) for document in found}
        behind = [position + 1 for position in known if position + 1 not in known]
        if behind:
            query = {"job_id": job_id, "position": {"$in": behind}}
            fields = {"_id": 0, "position": 1, "start": 1, "late": 1}
            with translated():
                cursor = self._extractions.find(query, fields).batch_size(LINES_PER_PAGE)
                known |= {each["position"]: (each["start"], each["late"]) async for each in cursor}
        return known


def _length_s(document: Mapping[str, Any], following: Mapping[int, tuple[datetime, bool]]) -> float | None:
    position: int = document["position"]
    moment: datetime = document["start"]
    if document["late"]:
        return None
    while (after := following.get(position := position + 1)) is not None:
        following_moment, late = after
        if not late:
            return max(0.0, (following_moment - moment).total_seconds())
    return None


def _line_from(document: Mapping[str, Any], length_s: float | None) -> EventLine:
    get = document.get
    return EventLine(
        position=document["position"],
        attempt=document["attempt"],
        late=document["late"],
        state=Status(document["state"]),
        at=document["start"],
        received_at=document["received_at"],
        message=document["message"],
        message_length=document["message_length"],
        percent=get("percent"),
        producer_id=get("producer_id"),
        sequence=get("sequence"),
        length_s=length_s,
        replay_id=get("replay_id"),
        maybe_repeated=get("maybe_repeated"),
    )

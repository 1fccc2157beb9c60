"""Updates that name no job. They belong to their extractor and resource, as a group called "No job ID"."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobtrail.models.jobs.job import Event
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.jobs.documents import event_from
from jobtrail.store.keyset import Page, SortOrder, read_page

MAX_COUNTED = 1000
"""Up to which number updates of a group, or jobs of an extractor, are counted, so that the cost is bounded."""
MAX_EXTRACTORS = 500
"""Extractors of one resource that are returned at most."""
_LATEST = 200
"""The latest updates among which groups are looked for."""
_MAX_GROUPS = 20
_OLDEST_FIRST = SortOrder(field="received_at", direction=1)
_LATEST_FIRST = {"received_at": -1, "_id": -1}


@dataclass(slots=True, frozen=True, kw_only=True)
class UnnamedGroup:
    """The updates of one extractor on one resource that name no job."""

    extractor_id: str
    resource_id: str
    event_count: int
    """Counted up to `MAX_COUNTED`."""
    first_at: datetime
    """The worker's time of the first one in order."""
    updated_at: datetime
    """The worker's time of the latest one in order."""
    status: Status
    message: str


class UnnamedRepository:
    """Reads the updates that name no job."""

    def __init__(self, database: Database) -> None:
        self._extractions = database.extractions

    async def latest(self) -> Sequence[UnnamedGroup]:
        """Read the groups that were heard of last, the latest first; older ones are found by their resource."""
        both = {"extractor_id": "$extractor_id", "file_id": "$file_id"}
        newest: list[Document] = [
            {"$match": {"job_id": None}},
            {"$sort": _LATEST_FIRST},
            {"$limit": _LATEST},
            {"$group": {"_id": both, "latest": {"$first": "$$ROOT"}}},
            {"$sort": {"latest.received_at": -1, "latest._id": -1}},
            {"$limit": _MAX_GROUPS},
            {"$set": {"latest": ["$latest"]}},
        ]
        return await self._groups(newest)

    async def of_resource(self, resource_id: str) -> Sequence[UnnamedGroup]:
        """Read the groups of one resource, however many updates they hold."""
        # The names alone come from the index, by leaps: what an extractor has sent is not gone through.
        extractors: list[Document] = [
            {"$match": {"file_id": resource_id}},
            {"$sort": {"extractor_id": 1}},
            {"$group": {"_id": "$extractor_id"}},
            {"$limit": MAX_EXTRACTORS},
            {"$set": {"_id": {"extractor_id": "$_id", "file_id": resource_id}}},
            _joined("latest", [{"$sort": _LATEST_FIRST}, {"$limit": 1}]),
            {"$match": {"latest": {"$ne": []}}},
        ]
        groups = await self._groups(extractors)
        return sorted(groups, key=lambda group: group.updated_at, reverse=True)

    async def count(self, extractor_id: str, resource_id: str) -> int:
        """Count one extractor's updates on one resource that name no job, all of them."""
        with translated():
            return await self._extractions.count_documents(_of_both(extractor_id, resource_id))

    async def events(self, extractor_id: str, resource_id: str) -> AsyncGenerator[Event]:
        """Read one extractor's updates on one resource that name no job, in order of arrival."""
        found = self._extractions.find(_of_both(extractor_id, resource_id))
        with translated():
            async for document in found.sort([("received_at", 1), ("_id", 1)]):
                yield event_from(document)

    async def latest_events(self, extractor_id: str, resource_id: str, *, limit: int) -> Sequence[Event]:
        """Read the latest of one extractor's updates on one resource that name no job, in order of arrival."""
        found = self._extractions.find(_of_both(extractor_id, resource_id)).sort(_LATEST_FIRST).limit(limit)
        with translated():
            documents = await found.to_list()
        return [event_from(document) for document in reversed(documents)]

    async def page(self, extractor_id: str, resource_id: str, *, limit: int, cursor: str | None = None) -> Page[Event]:
        """Read one page of one extractor's updates on one resource that name no job, in order of arrival."""
        query = _of_both(extractor_id, resource_id)
        page = await read_page(self._extractions, query, _OLDEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=[event_from(document) for document in page.rows], next=page.next)

    async def _groups(self, stages: Sequence[Document]) -> Sequence[UnnamedGroup]:
        """Add to groups with their latest update what else is to be known of them."""
        facts = [
            _joined("first", [{"$sort": {"received_at": 1, "_id": 1}}, {"$limit": 1}, {"$project": {"start": 1}}]),
            _joined("counted", [{"$limit": MAX_COUNTED}, {"$count": "events"}]),
        ]
        with translated():
            found = await (await self._extractions.aggregate([*stages, *facts])).to_list()
        return [_group_from(document) for document in found]


def _of_both(extractor_id: str, resource_id: str) -> Document:
    return {"file_id": resource_id, "extractor_id": extractor_id, "job_id": None}


def _joined(name: str, stages: Sequence[Document]) -> Document:
    """Join some of a group's updates."""
    ours = [{"$eq": [f"${field}", f"$$group.{field}"]} for field in ("file_id", "extractor_id")]
    pipeline = [{"$match": {"job_id": None, "$expr": {"$and": ours}}}, *stages]
    return {"$lookup": {"from": "extractions", "let": {"group": "$_id"}, "pipeline": pipeline, "as": name}}


def _group_from(document: Mapping[str, Any]) -> UnnamedGroup:
    latest, first = document["latest"][0], document["first"][0]
    return UnnamedGroup(
        extractor_id=latest["extractor_id"],
        resource_id=latest["file_id"],
        event_count=document["counted"][0]["events"],
        first_at=first["start"],
        updated_at=latest["start"],
        status=Status(latest["state"]),
        message=latest["message"],
    )

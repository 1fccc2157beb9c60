"""Reads as many of a job's events as its timeline needs to be drawn, and no more, however many there are."""

from collections.abc import Iterable, Mapping
from typing import Any

from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.outline import MAX_ROUNDS, MAX_WHOLE, Outline, Point, first_positions, next_positions
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Database, Document, translated

_FIELDS = {"_id": 0, "position": 1, "start": 1, "state": 1, "attempt": 1, "late": 1}


class OutlineRepository:
    """Reads outlines of jobs."""

    def __init__(self, database: Database) -> None:
        self._extractions = database.extractions

    async def read(self, job: JobState) -> Outline:
        """Read the outline of the events that a job counts."""
        count = job.event_count
        if count <= MAX_WHOLE:
            return Outline.of(count, await self._read(job.job_id, {"$lte": count}))
        points = await self._read(job.job_id, {"$in": list(first_positions(count))})
        outline = Outline.of(count, points)
        for _ in range(MAX_ROUNDS):
            positions = next_positions(outline)
            if not positions:
                break
            points = _merged(points, await self._read(job.job_id, {"$in": list(positions)}))
            outline = Outline.of(count, points)
        return outline

    async def _read(self, job_id: str, position: Document) -> list[Point]:
        query = {"job_id": job_id, "position": position}
        with translated():
            found = self._extractions.find(query, _FIELDS).sort("position", 1).batch_size(MAX_WHOLE)
            return [_point_from(document) async for document in found]


def _merged(points: Iterable[Point], further: Iterable[Point]) -> list[Point]:
    return sorted([*points, *further], key=lambda point: point.position)


def _point_from(document: Mapping[str, Any]) -> Point:
    return Point(
        position=document["position"],
        at=document["start"],
        state=Status(document["state"]),
        attempt=document["attempt"],
        late=document["late"],
    )

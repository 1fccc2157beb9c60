"""What ended in a span of time, how, and how long it took: figures that cost what ended in that span, and no more."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.errors import ExecutionTimeout

from jobtrail.models.durations import GROWTH, Durations, summed
from jobtrail.models.errors import TooBroadError
from jobtrail.models.jobs.status import ENDS, Status
from jobtrail.store.database import Database, Document, translated

TIME_LIMIT_S = 20
"""Seconds that the database may count for one span."""
MAX_GROUPS = 50_000
"""Groups of jobs in one span at the most: a bound for memory, far beyond what extractors that people name make."""

_WORKED = [Status.SUCCEEDED.value, Status.ERROR.value]
_MILLISECONDS = {"$subtract": ["$finished_at", "$started_at"]}
_BIN: Document = {
    "$switch": {
        "branches": [
            {"case": {"$not": [{"$in": ["$status", _WORKED]}]}, "then": None},
            {"case": {"$eq": [{"$ifNull": [_MILLISECONDS, None]}, None]}, "then": None},
            {"case": {"$lte": [_MILLISECONDS, 1]}, "then": 0},
        ],
        "default": {"$toInt": {"$floor": {"$divide": [{"$ln": _MILLISECONDS}, math.log(GROWTH)]}}},
    }
}


@dataclass(slots=True, frozen=True, kw_only=True)
class StatusCount:
    """Jobs that ended."""

    ended: Mapping[Status, int] = field(default_factory=dict)
    """How many, by how they ended; other statuses are left out."""
    durations: Durations = field(default_factory=Durations)
    """From start to end, of those that succeeded or failed and whose start is known."""


def added(tallies: Iterable[StatusCount]) -> StatusCount:
    """Put several tallies together."""
    ended: Counter[Status] = Counter()
    durations = []
    for tally in tallies:
        ended.update(tally.ended)
        durations.append(tally.durations)
    return StatusCount(ended=ended, durations=summed(durations))


class StatisticsRepository:
    """Counts what ended."""

    def __init__(self, database: Database) -> None:
        self._jobs = database.jobs

    async def tally(self, since: datetime, until: datetime) -> Mapping[str, StatusCount]:
        """Count, by extractor, the jobs that ended from `since` on and before `until`; their last update says when.

        The work is proportional to these jobs: the database finds them by index, and groups them by extractor, status
        and bin of the duration.
        """
        pipeline: list[Document] = [
            {"$match": {"status": {"$in": ENDS}, "updated_at": {"$gte": since, "$lt": until}}},
            {
                "$group": {
                    "_id": {"extractor": "$extractor_id", "status": "$status", "bin": _BIN},
                    "jobs": {"$sum": 1},
                }
            },
            {"$limit": MAX_GROUPS + 1},
        ]
        with translated():
            try:
                cursor = await self._jobs.aggregate(pipeline, maxTimeMS=TIME_LIMIT_S * 1000)
                groups = await cursor.to_list()
            except ExecutionTimeout as error:
                raise TooBroadError(f"too many jobs ended between {since} and {until} to count them") from error
        if len(groups) > MAX_GROUPS:
            raise TooBroadError(f"jobs of too many extractors ended between {since} and {until} to count them")
        return _by_extractor(groups)


def _by_extractor(groups: Iterable[Mapping[str, Any]]) -> dict[str, StatusCount]:
    ended: defaultdict[str, Counter[Status]] = defaultdict(Counter)
    bins: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for group in groups:
        key, jobs = group["_id"], group["jobs"]
        ended[key["extractor"]][Status(key["status"])] += jobs
        if key["bin"] is not None:
            bins[key["extractor"]][key["bin"]] += jobs
    return {name: StatusCount(ended=ended[name], durations=Durations(bins[name])) for name in ended}

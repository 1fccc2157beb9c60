"""Reads what is going on right now, a few times a second, for the live table."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobtrail.heartbeat.liveness import online
from jobtrail.models.datasets.dataset import DatasetStatus, LogType
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import RUNNING, WAITING, Status
from jobtrail.models.settings import Settings
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.views import DatasetViews, LogRow
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.overview import OverviewRepository
from jobtrail.store.jobs.without_job_id import UnnamedGroup

SLOW_INTERVAL_S = 2.0
"""The costly figures are read this often or more rarely, so that they take at most a tenth of the time."""
_RATE_WINDOW_S = 10.0
_RUNNING_LIMIT = 500
"""Running jobs that are checked for stalls; if there are more, the figure is a lower bound."""
_CHANGES_LIMIT = 20
"""The latest changes of datasets that are read at a time."""
_CHANGES_SINCE = timedelta(days=1)


@dataclass(slots=True, frozen=True, kw_only=True)
class LiveFigures:
    """The figures around the table."""

    jobs: Mapping[Status, int]
    datasets: Mapping[DatasetStatus, int]
    events_per_s: float
    extractors: int
    extractors_online: int
    """Those with at least one instance online."""
    stalled: frozenset[str]
    """Job ids."""
    dead_letters: int
    """The open ones."""

    @property
    def running(self) -> int:
        """Jobs in a worker's hands."""
        return sum(self.jobs.get(status, 0) for status in RUNNING)

    @property
    def waiting(self) -> int:
        """Jobs that wait in a worker's queue."""
        return sum(self.jobs.get(status, 0) for status in WAITING)


@dataclass(slots=True, frozen=True, kw_only=True)
class Snapshot:
    """What the live table shows at one moment."""

    at: datetime
    jobs: Sequence[JobState]
    """The latest updated first."""
    unnamed: Sequence[UnnamedGroup]
    changes: Sequence[LogRow]
    """The latest changes of datasets, the latest first."""
    figures: LiveFigures


class LiveReader:
    """Reads snapshots."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._jobs = JobRepository(database)
        self._extractors = ExtractorRepository(database)
        console = Console(database, settings)
        self._datasets = DatasetViews(console)
        self._overview = OverviewRepository(console)
        self._settings = settings
        self._rate = _Rate()
        self._slow_due_at = 0.0
        self._figures: LiveFigures | None = None
        self._unnamed: Sequence[UnnamedGroup] = ()
        self._changes: Sequence[LogRow] = ()

    async def read(self, limit: int) -> Snapshot:
        """Read the `limit` latest updated jobs, and the figures."""
        now = datetime.now(UTC)
        page = await self._jobs.list(JobFilter(), limit=limit)
        started = time.monotonic()
        if self._figures is None or started >= self._slow_due_at:
            self._unnamed = await self._jobs.unnamed.latest()
            self._changes = await self._read_changes(now)
            self._figures = await self._read_figures(now)
            ended = time.monotonic()
            self._slow_due_at = ended + max(SLOW_INTERVAL_S, 9 * (ended - started))
        return Snapshot(at=now, jobs=page.jobs, unnamed=self._unnamed, changes=self._changes, figures=self._figures)

    async def _read_changes(self, now: datetime) -> Sequence[LogRow]:
        page = await self._datasets.logs(LogType.STATUS_UPDATE, since=now - _CHANGES_SINCE, limit=_CHANGES_LIMIT)
        return page.rows

    async def _read_figures(self, now: datetime) -> LiveFigures:
        overview = await self._overview.read()
        records = await self._extractors.list()
        instances = await self._extractors.instances()
        watch = await self._extractors.watch(self._settings.heartbeat_queue)
        alive = {each.extractor for each in instances if online(each, now, self._settings, watch).online}
        return LiveFigures(
            jobs=overview.jobs,
            datasets=overview.datasets,
            events_per_s=self._rate.note(overview.event_count),
            extractors=len(records),
            extractors_online=len(alive),
            stalled=await self._stalled(),
            dead_letters=await CauseRepository(self._database).unsettled(),
        )

    async def _stalled(self) -> frozenset[str]:
        detector = StallDetector(self._database, self._settings)
        running = await self._jobs.list(JobFilter(status=RUNNING), limit=_RUNNING_LIMIT)
        stalls = await detector.stalls(running.jobs)
        return frozenset(job.job_id for job, stall in zip(running.jobs, stalls, strict=True) if stall)


class _Rate:
    """Events per second over the last seconds."""

    def __init__(self) -> None:
        self._counts: deque[tuple[float, int]] = deque()

    def note(self, count: int) -> float:
        now = time.monotonic()
        self._counts.append((now, count))
        while now - self._counts[0][0] > _RATE_WINDOW_S and len(self._counts) > 2:
            self._counts.popleft()
        since, first = self._counts[0]
        return max(0.0, (count - first) / (now - since)) if now > since else 0.0

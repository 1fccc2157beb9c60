"""Judges which jobs are stalled, by what the monitor stored of their extractors' instances."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from jobtrail.heartbeat.liveness import Stall, stall
from jobtrail.models.heartbeat import InstanceRecord, MonitorWatch
from jobtrail.models.jobs.job import JobState
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository


class StallDetector:
    """Decides which jobs are stalled at one moment; queries once per extractor, and only for running jobs."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._extractors = ExtractorRepository(database)
        self._settings = settings
        self._instances: dict[str, Sequence[InstanceRecord]] = {}
        self._watch: MonitorWatch | None = None
        self.now = datetime.now(UTC)
        """The moment that is judged."""

    async def stall(self, job: JobState) -> Stall | None:
        """Return why a job counts as stalled; None while there is no reason to think so."""
        if not job.status.is_running:
            return None
        return stall(job, await self.instances(job.extractor_id), self.now, self._settings, await self.watch())

    async def stalls(self, jobs: Collection[JobState]) -> list[Stall | None]:
        """Do so for several jobs, with one query about all their extractors."""
        unknown = {job.extractor_id for job in jobs if job.status.is_running} - self._instances.keys()
        if unknown:
            self._instances |= await self._extractors.instances_of(unknown)
        return [await self.stall(job) for job in jobs]

    async def watch(self) -> MonitorWatch:
        """Return when the monitor was there to see heartbeats."""
        if self._watch is None:
            self._watch = await self._extractors.watch(self._settings.heartbeat_queue)
        return self._watch

    async def instances(self, extractor: str) -> Sequence[InstanceRecord]:
        """Return the instances of an extractor, dead ones too."""
        if extractor not in self._instances:
            self._instances[extractor] = await self._extractors.instances(extractor)
        return self._instances[extractor]

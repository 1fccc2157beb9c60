"""Runs checks: a whole run at a time across all processes, or a check of the datasets whose jobs changed."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

import structlog

from jobtrail.models.datasets.dataset import valid_dataset_id
from jobtrail.models.errors import BusyError, NotFoundError, RecordError, SettingError, StoreError
from jobtrail.models.notifications.alert import Alert, AlertKind
from jobtrail.models.notifications.outbox import RunSummary, Timings
from jobtrail.models.notifications.slack_entries import slack_entries
from jobtrail.models.settings import Settings
from jobtrail.reconciler.analyzer import Analyzer
from jobtrail.reconciler.channels.base import NotificationChannel
from jobtrail.reconciler.checker import DatasetChecker
from jobtrail.reconciler.inquiry import Inquiry
from jobtrail.reconciler.metrics import ReconcilerMetrics
from jobtrail.reconciler.report import COMMAND, OnProgress, RunReport
from jobtrail.store.datasets.batch_jobs import BatchJobRepository
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.datasets import DatasetRepository
from jobtrail.store.datasets.jobs import DatasetJobs
from jobtrail.store.leases.lease import Lease
from jobtrail.store.notifications.outbox import OutboxRepository

log = structlog.get_logger()

SendAlert = Callable[[Alert], Awaitable[None]]
"""Sends an alert past the outbox, while the database that the outbox is in is away."""


@dataclass(slots=True)
class Outage:
    """What all runners of a process know of an outage of the database."""

    alerted: bool = False
    """Whether an alert was sent."""


class CheckRunner:
    """Runs checks with a writer's session of its own.

    `analyzer`: the API; None where it is not a source.
    """

    def __init__(
        self,
        console: Console,
        settings: Settings,
        analyzer: Analyzer | None,
        metrics: ReconcilerMetrics,
        channels: Sequence[NotificationChannel],
        *,
        send_alert: SendAlert,
        outage: Outage,
    ) -> None:
        self._console = console
        self._database = console.database
        self._batch_jobs = BatchJobRepository(console)
        self._slack_channel = settings.slack_channel if settings.slack_token else None
        self._analyzer = analyzer
        self._metrics = metrics
        self._send_alert = send_alert
        self._outbox = OutboxRepository(console.database)
        self._datasets = DatasetRepository(console)
        self._checker = DatasetChecker(settings, self._datasets, DatasetJobs(console), channels)
        self._outage = outage

    async def close(self) -> None:
        """Give the session back to the server."""
        await self._datasets.close()

    async def prepare(self) -> None:
        """Make the collections' indexes.

        Raises `OwnershipLostError`: what is stored contradicts a unique index.
        """
        try:
            await self._database.ensure_indexes()
            await self._console.ensure_indexes()
        except StoreError as error:
            await self._note_outage(RunReport(), error)
            raise

    async def run(self, dataset_id: str | None = None, on_progress: OnProgress | None = None) -> RunSummary:
        """Check one dataset, or all that are open, once.

        `dataset_id`: the dataset; None means all. Returns what was done. Raises `BusyError`: another process is at it.
        Raises `NotFoundError`: there is no such dataset.
        """
        lease = Lease(self._database, COMMAND)
        try:
            holder = await lease.acquire()
        except StoreError as error:
            await self._note_outage(RunReport(), error)
            raise
        if holder is not None:
            raise BusyError(f"{COMMAND} already runs on {holder.name}, since {holder.since:%H:%M:%S} UTC")
        return await lease.while_held(lambda: self._run(RunReport(on_progress), dataset_id))

    async def check_changed(self, dataset_ids: Collection[str]) -> tuple[dict[str, datetime], set[str]]:
        """Check by their jobs the datasets whose jobs changed. The API, where it is a source, is not waited for.

        Returns when to look at which of them again, and about which the API must be asked at once.
        """
        report = RunReport()
        look_again = await self._check_some(report, None, dataset_ids, before_api=True)
        return look_again, report.to_ask

    async def check_ended(self, dataset_id: str) -> datetime | None:
        """Ask the API about a dataset whose jobs are all done.

        Returns when to ask again, as the API tells no end yet; None when the dataset is settled, or jobs work on it
        again.
        """
        look_again = await self._check_some(RunReport(), self._inquiry(), [dataset_id])
        return look_again.get(dataset_id)

    async def _check_some(
        self, report: RunReport, inquiry: Inquiry | None, dataset_ids: Collection[str], *, before_api: bool = False
    ) -> dict[str, datetime]:
        async with self._alerting(report):
            look_again = await self._checker.check(report, inquiry, dataset_ids, before_api=before_api)
            self._metrics.note_checks(report.summary(_api_timings(inquiry)))
            await self._queue_alerts(report.take_alerts())
        return look_again

    async def take_over(self, purpose: str) -> None:
        """Become the one that writes for a purpose; see `FencedWriter.take_over`."""
        await self._datasets.take_over(purpose)

    def _inquiry(self) -> Inquiry | None:
        return self._analyzer.inquiry() if self._analyzer else None

    async def _run(self, report: RunReport, dataset_id: str | None) -> RunSummary:
        log.info("Run started", action="dataset.run_started", run_id=report.id, dataset_id=dataset_id)
        inquiry = self._inquiry()
        try:
            async with self._alerting(report):
                await self.take_over(COMMAND)
                if dataset_id is not None:
                    await self._check_id(report, dataset_id)
                await self._batch_jobs.catch_up()
                wanted = None if dataset_id is None else [dataset_id]
                count = await self._datasets.count_open(wanted)
                log.info("Datasets found", action="dataset.found", run_id=report.id, count=count)
                await self._checker.check(report, inquiry, wanted)
                if report.errors[AlertKind.API_AUTHENTICATION]:
                    report.halted = "the analyzer API refuses our credentials"
        finally:
            summary = report.summary(_api_timings(inquiry))
            self._metrics.note_run(summary)
        async with self._alerting(report):
            await self._report_end(report, summary)
        return summary

    @asynccontextmanager
    async def _alerting(self, report: RunReport) -> AsyncIterator[None]:
        """Alert on the error that ends a run early, then re-raise it.

        A dataset that does not exist or is broken was noted before, and is not a defect.
        """
        try:
            yield
        except (SettingError, NotFoundError, RecordError):
            await self._queue_alerts(report.take_alerts())
            raise
        except StoreError as error:
            report.halted = str(error)
            await self._note_outage(report, error)
            raise
        except Exception as error:
            report.halted = f"{type(error).__name__}: {error}"
            log.critical("Run halted", action=AlertKind.CRITICAL.action, run_id=report.id, exc_info=True)
            report.note_error(AlertKind.CRITICAL, report.halted)
            await self._queue_alerts(report.take_alerts())
            raise
        self._outage.alerted = False

    async def _check_id(self, report: RunReport, dataset_id: str) -> None:
        try:
            await self._datasets.get(valid_dataset_id(dataset_id))
        except (SettingError, NotFoundError, RecordError) as error:
            kind = AlertKind.BROKEN_RECORD if isinstance(error, RecordError) else AlertKind.INVALID_DATASET_ID
            log.error(kind.meaning.title, action=kind.action, run_id=report.id, error=str(error))
            report.note_error(kind, str(error))
            raise

    async def _report_end(self, report: RunReport, summary: RunSummary) -> None:
        if summary.checked == 0:
            log.info("No datasets to monitor", action="dataset.nothing_to_do", run_id=report.id)
            await self._queue_alerts(report.take_alerts())
            return
        fields = {name: value for name, value in asdict(summary).items() if name != "started_at"}
        log.info("Run finished", action="dataset.run_finished", **fields)
        await self._queue_alerts([*report.take_alerts(), summary])

    async def _queue_alerts(self, bodies: Sequence[Alert | RunSummary]) -> None:
        await self._outbox.insert(slack_entries(bodies, self._slack_channel))

    async def _note_outage(self, report: RunReport, error: StoreError) -> None:
        """Log and tell that the database is away: once per outage, and directly, as the outbox is in that database."""
        log.error("Database error", action=AlertKind.DATABASE_ERROR.action, run_id=report.id, error=str(error))
        if not self._outage.alerted:
            self._outage.alerted = True
            report.note_error(AlertKind.DATABASE_ERROR, str(error))
            for alert in report.take_alerts():
                await self._send_alert(alert)


def _api_timings(inquiry: Inquiry | None) -> Timings:
    return inquiry.timings() if inquiry else Timings()

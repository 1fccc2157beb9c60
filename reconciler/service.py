"""The reconciler as a service: scheduled runs, the watch over job events, and the outbox's dispatcher, side by side."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from prometheus_client import CollectorRegistry

from jobtrail.models.datasets.dataset import StatusSource
from jobtrail.models.errors import BusyError, JobTrailError, SettingError, StoreError
from jobtrail.models.notifications.alert import Alert
from jobtrail.models.notifications.outbox import Envelope
from jobtrail.models.notifications.slack_entries import slack_entries
from jobtrail.models.settings import Settings
from jobtrail.reconciler.analyzer import Analyzer
from jobtrail.reconciler.channels.configured import channels_off, channels_on
from jobtrail.reconciler.channels.metrics import OutboxMetrics
from jobtrail.reconciler.check_runner import CheckRunner, Outage
from jobtrail.reconciler.dispatcher import Dispatcher
from jobtrail.reconciler.events import EventWatch
from jobtrail.reconciler.immediate_checks import ImmediateChecks
from jobtrail.reconciler.metrics import ReconcilerMetrics
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.health import Health, HealthServer
from jobtrail.runtime.reconnect import Reconnect
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console

log = structlog.get_logger()

_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MISFIRE_GRACE_S = 60
"""A run that is due while the machine is busy may begin that many seconds late."""


class ReconcilerParts:
    """What runs and services are made of, on one database.

    `analyzer`: the API; None where it is not a source.
    """

    def __init__(
        self, settings: Settings, database: Database, analyzer: Analyzer | None, registry: CollectorRegistry
    ) -> None:
        self.console = Console(database, settings)
        self.channels = channels_on(settings)
        self.dispatcher = Dispatcher(settings, database, self.channels, OutboxMetrics(registry))
        self._settings = settings
        self._analyzer = analyzer
        self._metrics = ReconcilerMetrics(registry)
        self._outage = Outage()

    @asynccontextmanager
    async def runner(self) -> AsyncIterator[CheckRunner]:
        """Make a runner with a session of its own."""
        runner = CheckRunner(
            self.console,
            self._settings,
            self._analyzer,
            self._metrics,
            self.channels,
            send_alert=self._send_alert,
            outage=self._outage,
        )
        try:
            yield runner
        finally:
            with suppress(StoreError):  # the server ends the session by itself
                await runner.close()

    async def _send_alert(self, alert: Alert) -> None:
        """Send an alert to Slack past the outbox."""
        entries = slack_entries([alert], self._settings.slack_channel)
        for channel in self.channels:
            for entry in entries:
                if channel.name is entry.channel:
                    (outcome,) = await channel.send([Envelope(key=entry.key, holder="", entries=[entry])])
                    log.info("Alert sent past the outbox", action="dataset.alert_sent", result=outcome.verdict.value)


@asynccontextmanager
async def reconciler_parts(settings: Settings, registry: CollectorRegistry) -> AsyncIterator[ReconcilerParts]:
    """Open what the reconciler works with.

    Yields the parts; nothing runs yet.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(settings.require_mongo_url(), settings.database))
        analyzer = None
        if StatusSource.API in settings.dataset_sources:
            analyzer = await stack.enter_async_context(Analyzer(settings))
        yield ReconcilerParts(settings, database, analyzer, registry)


@dataclass(slots=True)
class _State:
    """What the health page tells."""

    run_ended_at: datetime | None = None
    outage: str | None = "not started"
    sources: str = ""
    off: list[str] = field(default_factory=list)

    def health(self) -> Health:
        return Health(
            ok=self.outage is None,
            details={
                "state": self.outage or "watching",
                "sources": self.sources,
                "last_run": self.run_ended_at.isoformat(timespec="seconds") if self.run_ended_at else None,
                "channels_off": ", ".join(self.off) or None,
            },
        )


async def run_reconciler(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Reconcile until stopped, through outages of the database, the API and the channels."""
    registry = CollectorRegistry()
    trigger = cron_trigger(settings.dataset_cron)
    state = _State(sources=", ".join(sorted(settings.dataset_sources)), off=sorted(channels_off(settings)))
    async with (
        reconciler_parts(settings, registry) as parts,
        HealthServer(settings.health_host, settings.reconciler_health_port, registry, state.health) as server,
    ):
        on_ready(server.port)
        log.info("Sources of dataset status", action="reconciler.sources", sources=state.sources)
        for channel, reason in channels_off(settings).items():
            log.info("Channel is off", action="outbox.channel_off", channel=channel.value, reason=reason)
        async with (
            parts.runner() as runs,
            parts.runner() as by_jobs,
            parts.runner() as by_api,
            ImmediateChecks(by_api, settings) as immediate,
        ):
            await _prepare(runs, settings, state, stop)

            async def check_changed(dataset_ids: Sequence[str]) -> Mapping[str, datetime]:
                if StatusSource.EVENTS not in settings.dataset_sources:
                    return {}  # jobs are then watched for the sake of batch jobs only
                look_again, to_ask = await by_jobs.check_changed(dataset_ids)
                immediate.add(to_ask)
                return look_again

            async def take_over(purpose: str) -> None:
                await by_jobs.take_over(purpose)
                await by_api.take_over(f"{purpose}, asked at once")

            watch = EventWatch(parts.console, settings, check_changed, take_over)
            async with asyncio.TaskGroup() as group:
                group.create_task(_run_on_schedule(runs, trigger, state, stop, most_pause_s=settings.retry_max_wait_s))
                group.create_task(watch.run(stop))
                group.create_task(parts.dispatcher.run(stop))
    log.info("Stopped", action="reconciler.stopped")


def cron_trigger(cron: str) -> CronTrigger:
    """Read a schedule.

    `cron`: five cron fields, in UTC.
    """
    try:
        # APScheduler counts weekdays from Monday, cron from Sunday; names mean the same to both.
        *fields, weekday = cron.split()
        named = re.sub(r"(?<!/)\b[0-7]\b", lambda number: _WEEKDAYS[int(number[0])], weekday)
        return CronTrigger.from_crontab(" ".join([*fields, named]), timezone=UTC)
    except ValueError as error:
        raise SettingError(f"JOBTRAIL_DATASET_CRON: {cron!r} is not a schedule of five cron fields: {error}") from error


async def _prepare(runner: CheckRunner, settings: Settings, state: _State, stop: asyncio.Event) -> None:
    """Make the indexes; wait for the database as long as it takes."""

    def note_outage(error: Exception, wait_s: float) -> None:
        state.outage = str(error)
        log.warning("Database not ready", action="reconciler.waiting", error=str(error), wait_s=round(wait_s, 2))

    if await Reconnect(stop, settings.retry_max_wait_s, note_outage).until_done(runner.prepare):
        state.outage = None


async def _run_on_schedule(
    runner: CheckRunner, trigger: CronTrigger, state: _State, stop: asyncio.Event, *, most_pause_s: float
) -> None:
    """Run at once, then on schedule; after an outage of the database as soon as it is back. Never two at a time."""
    running: set[asyncio.Task[object] | None] = set()
    backoff = Backoff(most_s=most_pause_s)

    async def run() -> None:
        running.add(asyncio.current_task())
        try:
            await runner.run()
        except BusyError as error:
            log.info("Run left to another process", action="dataset.run_skipped", reason=str(error))
        except StoreError as error:
            state.outage = str(error)  # logged, and alerted, by the runner
            job.modify(next_run_time=datetime.now(UTC) + timedelta(seconds=backoff.next_s()))
            return
        except JobTrailError as error:
            log.error("Run ended early", action="dataset.run_ended_early", error=str(error))
        else:
            state.run_ended_at = datetime.now(UTC)
        finally:
            running.discard(asyncio.current_task())
        state.outage = None
        backoff.reset()

    scheduler = AsyncIOScheduler(timezone=UTC)
    # A run that takes longer than the schedule's interval lets the next one out.
    job = scheduler.add_job(
        run,
        trigger,
        max_instances=1,
        coalesce=True,
        misfire_grace_time=_MISFIRE_GRACE_S,
        next_run_time=datetime.now(UTC),
    )
    scheduler.start()
    try:
        await stop.wait()
    finally:
        scheduler.shutdown(wait=False)
        # A run that is under way is cancelled, and gives its lease back before it ends.
        await asyncio.gather(*(cancel_and_wait(task) for task in running if task is not None))

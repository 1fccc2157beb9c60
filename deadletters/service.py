"""The dead-letter service: captures queues, continues replays, settles outcomes, accounts for messages, cleans up."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from jobtrail.deadletters.accounting import alert_of, audit
from jobtrail.deadletters.capture import Capture
from jobtrail.deadletters.metrics import CapturesMetrics, DeadLetterMetrics
from jobtrail.deadletters.outcomes import OutcomeSettler
from jobtrail.deadletters.replayer import Replayer
from jobtrail.models.errors import BrokerError, BusyError, NotFoundError, OwnershipLostError, StoreError
from jobtrail.models.notifications.slack_entries import slack_entries
from jobtrail.models.settings import Settings
from jobtrail.runtime.health import Health, HealthServer
from jobtrail.runtime.reconnect import Reconnect
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replays import ReplayRepository
from jobtrail.store.leases.lease import Lease
from jobtrail.store.notifications.outbox import OutboxRepository

log = structlog.get_logger()

_JUDGE_FIRST_S, _JUDGE_MOST_S = 0.5, 5.0
"""Seconds between two checks of pending outcomes; the pause grows while nothing changes."""
_LOOK_FOR_REPLAYS_S = 1.0
_SPARE_S = 2.0
"""Seconds after which a spare tries again, and a queue that does not exist is looked for again."""
_AUDIT_EVERY_S = 3600.0
_AUDITED = timedelta(hours=25)
_EXPIRE_EVERY_S = 600.0


async def run_dead_letters(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Run the service until `stop` is set, through outages; `on_ready` gets the port of the health page."""
    registry = CollectorRegistry()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        service = DeadLetterService(settings, database, registry, stop)
        server = HealthServer(settings.health_host, settings.dead_letters_health_port, registry, service.health)
        async with server:
            on_ready(server.port)
            gc.freeze()  # what start-up made stays for good: the collector need not look at it again and again
            await service.run()
    log.info("stopped", action="dead_letters.stopped")


class DeadLetterService:
    """One process's work; `run_dead_letters` sets it up."""

    def __init__(
        self, settings: Settings, database: Database, registry: CollectorRegistry, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._database = database
        self._stop = stop
        self._captures = CapturesMetrics(registry)
        self._metrics = DeadLetterMetrics(registry)
        self._states = dict.fromkeys(settings.captured_queues, "starting")
        self._replaying: set[str] = set()
        self._outcomes = OutcomeSettler(settings, database)

    def health(self) -> Health:
        """Report the state of each captured queue."""
        own = self._states[self._settings.dead_letter_queue]
        return Health(ok=own in ("capturing", "spare"), details={"queues": self._states})

    async def run(self) -> None:
        """Work until `stop` is set."""
        async with asyncio.TaskGroup() as group:
            for queue in self._settings.captured_queues:
                group.create_task(self._capture(queue))
            group.create_task(self._every(_LOOK_FOR_REPLAYS_S, partial(self._go_on, group)))
            group.create_task(self._every(_JUDGE_FIRST_S, self._judge, most_s=_JUDGE_MOST_S))
            group.create_task(self._every(_AUDIT_EVERY_S, self._audit))
            group.create_task(self._every(_EXPIRE_EVERY_S, self._expire))

    async def _capture(self, queue: str) -> None:
        metrics = self._captures.of(queue)

        def note_outage(error: Exception, _wait_s: float) -> None:
            self._states[queue] = f"reconnecting: {error}"
            metrics.count_end(error)
            log.warning("capture ended", action="dead_letters.capture_ended", queue=queue, error=str(error))

        async def session() -> None:
            capture = Capture(queue, self._settings, self._database, metrics, self._stop)
            try:
                await self._database.ensure_indexes()
                await capture.open()
                self._states[queue] = "capturing"
                await capture.run(reconnect.note_success)
            except (BusyError, NotFoundError) as error:
                self._note_idle(queue, "spare" if isinstance(error, BusyError) else "missing", str(error))
                await sleep_until(_SPARE_S, self._stop)
            finally:
                await capture.close()

        reconnect = Reconnect(self._stop, self._settings.retry_max_wait_s, note_outage)
        await reconnect.run(session)

    def _note_idle(self, queue: str, state: str, reason: str) -> None:
        if self._states[queue] != state:
            log.info("queue is not captured here", action=f"dead_letters.{state}", queue=queue, reason=reason)
        self._states[queue] = state

    async def _every(
        self, interval_s: float, work: Callable[[], Awaitable[bool | None]], *, most_s: float | None = None
    ) -> None:
        """Repeat work; while the database or the broker is away, try again later.

        With `most_s`, the pause doubles up to it while the work finds nothing to do.
        """
        pause_s = interval_s
        while not self._stop.is_set():
            try:
                found = await work()
                pause_s = interval_s if found or most_s is None else min(2 * pause_s, most_s)
            except (StoreError, BrokerError, OwnershipLostError) as error:
                log.warning("waiting", action="dead_letters.waiting", error=str(error))
                await sleep_until(_SPARE_S, self._stop)
            await sleep_until(pause_s, self._stop)

    async def _go_on(self, group: asyncio.TaskGroup) -> None:
        """Continue unattended replays concurrently, so that one that waits for outcomes delays no other."""
        for replay in await ReplayRepository(self._database).under_way():
            if replay.id not in self._replaying:
                self._replaying.add(replay.id)
                group.create_task(self._replay(replay.id))

    async def _replay(self, replay_id: str) -> None:
        try:
            if await Replayer(self._settings, self._database, self._stop).run(replay_id):
                self._metrics.replays.inc()
        finally:
            self._replaying.discard(replay_id)

    async def _judge(self) -> bool:
        settled = await self._outcomes.judge()
        self._metrics.settled.inc(settled)
        self._metrics.unsettled.set(await CauseRepository(self._database).unsettled())
        return settled > 0

    async def _expire(self) -> None:
        if self._settings.letter_retention_days is None:
            return
        before = datetime.now(UTC) - timedelta(days=self._settings.letter_retention_days)
        while count := await LetterRepository(self._database).expire(before):
            self._metrics.expired.inc(count)
            log.info("closed letters removed", action="dead_letters.expired", count=count)

    async def _audit(self) -> None:
        """Account for the last day, unless another process did within the hour; alert once per difference."""
        lease = Lease(self._database, "conservation audit", ttl_s=_AUDIT_EVERY_S * 0.9)
        if await lease.acquire() is not None:
            return
        found = await audit(self._settings, self._database, datetime.now(UTC) - _AUDITED)
        self._metrics.missing.set(found.wrong)
        alerts = [alert_of(balance) for balance in found.balances if balance.wrong]
        log.info("audit", action="audit.done", balances=len(found.balances), wrong=found.wrong)
        for alert in alerts:
            log.error(alert.meaning.title, action=alert.kind.action, cause=alert.cause)
        await OutboxRepository(self._database).insert(slack_entries(alerts, self._settings.slack_channel))


def capture_settings(settings: Settings, queues: Sequence[str]) -> Settings:
    """Add the queues of the command line to those of the settings."""
    named = ",".join(filter(None, [settings.capture_queues, *queues]))
    return settings.model_copy(update={"capture_queues": named})

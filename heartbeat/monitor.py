"""The monitor: takes heartbeats from the queue, coalesces them per instance, writes them in bulk, then acknowledges.

A database outage is waited out with the newest heartbeat of each instance in memory; a broker outage is waited out too.
Bad heartbeats are stored as dead letters, in the database too. Any number of monitors may share the queue.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from prometheus_client import CollectorRegistry

from jobtrail.broker.channel import Delivery
from jobtrail.heartbeat.inbox import Batch, HeartbeatInbox, Reject
from jobtrail.heartbeat.letters import letter_of, stub_of
from jobtrail.heartbeat.metrics import MonitorMetrics
from jobtrail.heartbeat.subscription import HeartbeatSubscription, subscribed
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import BrokerError, JobTrailError, OwnershipLostError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.health import Health, HealthServer
from jobtrail.runtime.reconnect import Reconnect
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.refused import store_refused
from jobtrail.store.extractors import ExtractorRepository

log = structlog.get_logger(__name__)

FLUSH_INTERVAL_S = 1.0
"""A heartbeat is stored at the latest this many seconds after it came."""


async def run_monitor(
    settings: Settings,
    stop: asyncio.Event,
    *,
    registry: CollectorRegistry | None = None,
    on_ready: Callable[[int], None] | None = None,
) -> None:
    """Store heartbeats until told to stop; what was taken by then is stored and acknowledged.

    `on_ready` is called each time that heartbeats begin to be received, with the health page's port.
    """
    registry = registry or CollectorRegistry()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        monitor = Monitor(settings, database, MonitorMetrics(registry))
        server = HealthServer(settings.health_host, settings.monitor_health_port, registry, monitor.health)
        async with server:
            await monitor.run(stop, lambda: on_ready(server.port) if on_ready else None)


class Monitor:
    """One monitor; `run_monitor` sets it up."""

    def __init__(self, settings: Settings, database: Database, metrics: MonitorMetrics) -> None:
        self._settings = settings
        self._database = database
        self._repository = ExtractorRepository(database)
        self._metrics = metrics
        self._inbox = HeartbeatInbox(settings.max_body_bytes)
        self._store_backoff = Backoff(most_s=settings.retry_max_wait_s)
        self._enough = asyncio.Event()
        self._indexed = False
        self._connected = False
        self._causes: set[tuple[str, str]] = set()
        self._stored_at: datetime | None = None
        self._outage: str | None = None

    def health(self) -> Health:
        """Say whether heartbeats are received and stored."""
        return Health(
            ok=self._connected and self._outage is None,
            details={
                "broker": "receiving" if self._connected else "not connected",
                "database": self._outage or "ok",
                "stored_at": self._stored_at.isoformat(timespec="milliseconds") if self._stored_at else None,
                "waiting": self._inbox.count,
            },
        )

    async def run(self, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Receive and store until told to stop, through every outage of the broker and the database.

        `on_ready` is called each time that heartbeats begin to be received.
        """

        async def session() -> None:
            await self._make_room(stop)
            if stop.is_set():
                return
            try:
                async with subscribed(self._settings) as subscription:
                    reconnect.note_success()
                    await self._receive(subscription, stop, on_ready)
            finally:
                self._inbox.forget_deliveries()

        reconnect = Reconnect(stop, self._settings.retry_max_wait_s, self._note_broker_lost, (BrokerError,))
        await reconnect.run(session)

    async def _receive(
        self, subscription: HeartbeatSubscription, stop: asyncio.Event, on_ready: Callable[[], None]
    ) -> None:
        """Receive and store on one connection; leave it when the database is away and no more can be held."""

        def take(delivery: Delivery) -> None:
            self._take(delivery)
            if self._inbox.is_full:
                subscription.pause()
            else:
                subscription.gather()

        await subscription.consume(take)
        self._note_connected(connected=True)
        on_ready()
        try:
            while not stop.is_set():
                await self._wait(subscription, stop)
                subscription.raise_if_lost()
                if not await self._flush(subscription) and self._inbox.is_full:
                    log.warning("No more heartbeats can be held; they stay in the queue", action="monitor.full")
                    return
            await subscription.cancel()
            if self._outage is None:
                await self._flush(subscription)
        finally:
            self._note_connected(connected=False)

    async def _wait(self, subscription: HeartbeatSubscription, stop: asyncio.Event) -> None:
        if self._outage is None:
            await subscription.wait(FLUSH_INTERVAL_S, stop, self._enough)
        else:
            await subscription.wait(self._store_backoff.next_s(), stop)

    async def _make_room(self, stop: asyncio.Event) -> None:
        """Connect to the broker only when more can be held."""
        while self._inbox.is_full and not stop.is_set():
            if not await self._flush():
                await sleep_until(self._store_backoff.next_s(), stop)

    def _take(self, delivery: Delivery) -> None:
        self._metrics.received.inc()
        reject = self._inbox.add(delivery)
        if reject is not None:
            self._note_reject(reject)
        if self._inbox.count >= self._settings.prefetch // 2 or self._inbox.is_full:
            self._enough.set()

    async def _flush(self, subscription: HeartbeatSubscription | None = None) -> bool:
        """Store what was collected, then acknowledge it; return False where the database is away and it is held."""
        self._enough.clear()
        taken_at = datetime.now(UTC)
        batch = self._inbox.take()
        if subscription is not None:
            subscription.resume()
        try:
            await self._store(batch, taken_at)
        except (StoreError, OwnershipLostError) as error:
            self._inbox.put_back(batch)
            self._note_outage(error)
            return False
        if subscription is not None:
            subscription.acknowledge(batch.last_tag)
        return True

    async def _store(self, batch: Batch, taken_at: datetime) -> None:
        """Store a batch: the good ones first, which no bad one must keep back."""
        if not self._indexed:
            await self._database.ensure_indexes()
            self._indexed = True
        started = time.perf_counter()
        watch = await self._repository.note_watch(self._settings.heartbeat_queue, taken_at)
        heartbeats = [beat for beat, _ in batch.heartbeats.values()]
        refused = await self._repository.record(heartbeats, watch.since) if heartbeats else {}
        self._metrics.stored.inc(len(heartbeats) - len(refused))
        for instance_id, error in refused.items():
            self._note_reject(self._inbox.refuse(batch, instance_id, DeadLetterReason.UNSTORABLE, error))
        await self._store_rejects(batch)
        self._metrics.write_s.observe(time.perf_counter() - started)
        self._note_stored(taken_at)

    async def _store_rejects(self, batch: Batch) -> None:
        if not batch.rejects:
            return
        letters = [letter_of(reject, self._settings) for reject in batch.rejects.values()]
        stubs = [stub_of(letter, refusal) for letter, refusal in await store_refused(self._database, letters)]
        for stub, refusal in await store_refused(self._database, stubs):
            # There is no other place for it, and back in its queue it would come again for ever.
            self._metrics.lost.inc()
            log.error(
                "Bad heartbeat can't be stored even as a dead letter; it is lost",
                action="monitor.letter_lost",
                error=stub.error,
                refusal=refusal,
                body_bytes=stub.size_bytes,
            )
        self._inbox.settle(batch)

    def _note_reject(self, reject: Reject) -> None:
        """Count a bad heartbeat, and log the first of each cause: senders repeat theirs every few seconds."""
        self._metrics.rejected.labels(reject.reason).inc()
        cause = (reject.reason, reject.error)
        if cause not in self._causes and len(self._causes) < 1000:
            self._causes.add(cause)
            log.warning(
                "Heartbeat can't be processed; it goes to the dead letters",
                action="monitor.rejected",
                reason=reject.reason,
                error=reject.error,
            )

    def _note_broker_lost(self, error: Exception, _wait_s: float) -> None:
        self._metrics.outages.labels("broker").inc()
        log.warning("Broker lost; connecting again", action="monitor.broker_lost", error=str(error))

    def _note_connected(self, *, connected: bool) -> None:
        self._connected = connected
        self._metrics.broker_connected.set(connected)
        if connected:
            log.info("Receiving heartbeats", action="monitor.receiving", queue=self._settings.heartbeat_queue)

    def _note_stored(self, taken_at: datetime) -> None:
        if self._outage is not None:
            log.info("Database is back", action="monitor.database_back")
        self._outage = None
        self._stored_at = taken_at
        self._store_backoff.reset()
        self._metrics.database_ok.set(1)

    def _note_outage(self, error: JobTrailError) -> None:
        self._metrics.outages.labels("database").inc()
        self._metrics.database_ok.set(0)
        self._outage = str(error)
        log.warning("Database away; holding heartbeats", action="monitor.database_lost", error=str(error))

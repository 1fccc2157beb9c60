"""The monitor: takes heartbeats from the queue, coalesces them per instance, writes them in bulk, then acknowledges.

A database outage is waited out with the newest heartbeat of each instance in memory; a broker outage is waited out too.
Bad heartbeats go to the dead letters. Any number of monitors may share the queue.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from prometheus_client import CollectorRegistry

from heartbeat.health import Health, HealthServer
from heartbeat.inbox import Batch, Delivery, Inbox, Reject
from heartbeat.metrics import MonitorMetrics
from heartbeat.pause import pause
from heartbeat.subscription import Subscription, subscribed
from models.errors import BrokerError, StoreError
from models.settings import Settings
from models.wire import DeadLetterReason
from publisher.backoff import Backoff
from store.database import Database
from store.extractors import ExtractorRepository

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

    Args:
        settings: Broker, database, queues, limits, and where the health page listens.
        stop: Ends it.
        registry: Where its metrics are registered; None for a registry of its own.
        on_ready: Called each time that heartbeats begin to be received, with the port of the health page.

    Raises:
        SettingError: A URL is missing or wrong, or the health page's port is taken.
    """
    registry = registry or CollectorRegistry()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        monitor = Monitor(settings, database, MonitorMetrics(registry))
        server = HealthServer(settings.health_host, settings.monitor_health_port, registry, monitor.health)
        async with server:
            await monitor.run(stop, lambda: on_ready(server.port) if on_ready else None)


class Monitor:
    """One monitor; `run_monitor` sets it up.

    Args:
        settings: As above.
        database: Where heartbeats are stored.
        metrics: What it counts.
    """

    def __init__(self, settings: Settings, database: Database, metrics: MonitorMetrics) -> None:
        self._settings = settings
        self._database = database
        self._repository = ExtractorRepository(database)
        self._metrics = metrics
        self._inbox = Inbox(settings.max_body_bytes)
        self._full = asyncio.Event()
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

        Args:
            stop: Ends it.
            on_ready: Called each time that heartbeats begin to be received.
        """
        backoff = Backoff(most_s=self._settings.retry_max_wait_s)
        while not stop.is_set():
            try:
                async with subscribed(self._settings) as subscription:
                    backoff.reset()
                    await self._session(subscription, stop, on_ready)
            except BrokerError as error:
                self._metrics.outages.labels("broker").inc()
                log.warning("Broker lost; connecting again", action="monitor.broker_lost", error=str(error))
                await pause(backoff.next_s(), stop)

    async def _session(self, subscription: Subscription, stop: asyncio.Event, on_ready: Callable[[], None]) -> None:
        """Receive and store on one connection."""
        await subscription.consume(self._take)
        self._connected = True
        self._metrics.broker_connected.set(1)
        log.info("Receiving heartbeats", action="monitor.receiving", queue=self._settings.heartbeat_queue)
        on_ready()
        try:
            while not stop.is_set() and not subscription.lost.is_set():
                await pause(FLUSH_INTERVAL_S, stop, subscription.lost, self._full)
                await self._flush(subscription, stop)
            if subscription.lost.is_set():
                raise BrokerError("RabbitMQ: the connection was lost")
            await subscription.cancel()
            if self._outage is None:
                await self._flush(subscription, stop)
        finally:
            self._connected = False
            self._metrics.broker_connected.set(0)
            self._inbox.forget_deliveries()

    def _take(self, delivery: Delivery) -> None:
        self._metrics.received.inc()
        reject = self._inbox.add(delivery)
        if reject is not None:
            self._log_reject(reject)
        if self._inbox.count >= self._settings.prefetch // 2:
            self._full.set()

    def _log_reject(self, reject: Reject) -> None:
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

    async def _flush(self, subscription: Subscription, stop: asyncio.Event) -> None:
        """Move the bad ones to the dead letters, store the good ones, then acknowledge all of them."""
        self._full.clear()
        taken_at = datetime.now(UTC)
        batch = self._inbox.take()
        try:
            await self._reject(batch, subscription)
            if not await self._store(batch, taken_at, subscription, stop):
                self._inbox.put_back(batch)
                return
            await self._reject(batch, subscription)
            await subscription.acknowledge(batch.last_tag)
        except BrokerError:
            self._inbox.put_back(batch)
            raise

    async def _reject(self, batch: Batch, subscription: Subscription) -> None:
        if batch.rejects:
            await subscription.dead_letter(batch.rejects)
            batch.rejects.clear()

    async def _store(self, batch: Batch, taken_at: datetime, subscription: Subscription, stop: asyncio.Event) -> bool:
        """Write a batch, again and again while the database is away; give up only with the connection or at the end."""
        backoff = Backoff(most_s=self._settings.retry_max_wait_s)
        while True:
            try:
                await self._write(batch, taken_at)
                return True
            except StoreError as error:
                self._note_outage(error)
            if stop.is_set() or subscription.lost.is_set():
                return False
            await pause(backoff.next_s(), stop, subscription.lost)

    async def _write(self, batch: Batch, taken_at: datetime) -> None:
        if not self._indexed:
            await self._database.ensure_indexes()
            self._indexed = True
        started = time.perf_counter()
        watch = await self._repository.note_watch(self._settings.heartbeat_queue, taken_at)
        heartbeats = [beat for beat, _ in batch.heartbeats.values()]
        refused = await self._repository.record(heartbeats, watch.since) if heartbeats else {}
        self._metrics.write_s.observe(time.perf_counter() - started)
        self._metrics.stored.inc(len(heartbeats) - len(refused))
        for instance_id, error in refused.items():
            _, delivery = batch.heartbeats[instance_id]
            reject = Reject(delivery, DeadLetterReason.UNSTORABLE, error)
            batch.rejects.append(reject)
            self._log_reject(reject)
        if self._outage is not None:
            log.info("Database is back", action="monitor.database_back")
        self._outage = None
        self._stored_at = taken_at
        self._metrics.database_ok.set(1)

    def _note_outage(self, error: StoreError) -> None:
        self._metrics.outages.labels("database").inc()
        self._metrics.database_ok.set(0)
        self._outage = str(error)
        log.warning("Database away; holding heartbeats", action="monitor.database_lost", error=str(error))

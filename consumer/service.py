"""The consumer as a service: its share of the streams and of the queues to bridge, health and metrics beside them."""

import asyncio
import gc
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from jobtrail.broker.address import broker_urls
from jobtrail.consumer.bridge import Bridge
from jobtrail.consumer.metrics import ConsumerMetrics
from jobtrail.consumer.order import Order
from jobtrail.consumer.partition import Partition
from jobtrail.consumer.sharing import Sharing, Work
from jobtrail.models.settings import FORMER_REPLY_QUEUE, Settings
from jobtrail.runtime.health import Health, HealthServer
from jobtrail.store.database import Database
from jobtrail.store.log.layout import LayoutRepository
from jobtrail.store.log.upgrade import upgrade

log = structlog.get_logger()


async def run_consumer(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Read the streams of updates until told to stop, through outages of the broker and the database.

    Several processes share the streams evenly; one that dies is replaced. `on_ready` gets the health page's port.
    """
    broker_urls(settings.require_amqp_url())
    registry = CollectorRegistry()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        service = ConsumerService(settings, database, registry)
        server = HealthServer(settings.health_host, settings.consumer_health_port, registry, service.health)
        async with server:
            on_ready(server.port)
            gc.freeze()  # what start-up made stays for good: the collector need not look at it again and again
            await service.run(stop)
    log.info("stopped", action="consumer.stopped")


class ConsumerService:
    """One consumer process; `run_consumer` sets it up."""

    def __init__(self, settings: Settings, database: Database, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._database = database
        self._metrics = ConsumerMetrics(registry)
        self._layout = LayoutRepository(database)
        self._order = Order(database)
        self._sharing = Sharing(database, "consumers", settings.retry_max_wait_s)
        self._is_prepared = False

    def health(self) -> Health:
        """Say how each stream and each bridge of this process does."""
        former = f"bridge {FORMER_REPLY_QUEUE}"
        states = {
            name: state
            for name, state in self._sharing.states.items()
            if name != former or not state.startswith("missing")  # most never had that queue
        }
        if self._sharing.error is not None:
            return Health(ok=False, details={"state": "reconnecting", "error": self._sharing.error})
        if not self._is_prepared:
            return Health(ok=False, details={"state": "starting"})
        bad = [state for state in states.values() if state.startswith(("starting", "reconnecting"))]
        reading = any(state.startswith("reading") for state in states.values())
        state = "reconnecting" if bad else "consuming" if reading else "spare"
        details: dict[str, object] = {"state": state, "pieces": states}
        if bad:
            details["error"] = bad[0]
        return Health(ok=not bad, details=details)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop."""
        await self._sharing.run(partial(self._pieces, stop), stop)

    async def _pieces(self, stop: asyncio.Event) -> Mapping[str, Work]:
        """List the work that this process knows of."""
        if not self._is_prepared:
            if not await upgrade(self._database, stop):
                return {}
            await self._layout.set(self._settings.reply_stream, self._settings.reply_partitions)
            self._is_prepared = True
        await self._order.refresh()
        streams = dict.fromkeys([*self._settings.reply_streams, *self._order.known])
        pieces: dict[str, Work] = {f"stream {stream}": partial(self._read, stream) for stream in streams}
        for queue in self._settings.queues_to_bridge:
            pieces[f"bridge {queue}"] = partial(self._bridge, queue)
        return pieces

    async def _read(self, stream: str, stop: asyncio.Event, attempt: int, tell: Callable[[str], None]) -> None:
        partition = Partition(
            stream,
            self._settings,
            self._database,
            metrics=self._metrics,
            order=self._order,
            stop=stop,
            attempt=attempt,
        )
        await partition.run(tell)

    async def _bridge(self, queue: str, stop: asyncio.Event, _attempt: int, tell: Callable[[str], None]) -> None:
        await Bridge(queue, self._settings, self._database, self._metrics.copied, stop).run(tell)

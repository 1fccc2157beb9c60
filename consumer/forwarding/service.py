"""The forwarder as a service: its share of the streams, health and metrics beside them."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

import structlog
from prometheus_client import CollectorRegistry

from jobtrail.broker.address import broker_urls
from jobtrail.consumer.forwarding.forwarder import Forwarder
from jobtrail.consumer.forwarding.metrics import ForwarderMetrics
from jobtrail.consumer.sharing import Sharing, Work
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.runtime.health import Health, HealthServer
from jobtrail.store.database import Database
from jobtrail.store.log.layout import LayoutRepository

log = structlog.get_logger()

_BAD = ("starting", "reconnecting", "missing", "refused", "blocked")


async def run_forwarder(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Copy updates to another queue until told to stop, through outages of the broker and the database.

    Several processes of one name share the streams evenly; one that dies is replaced. `on_ready` gets the health page's
    port.
    """
    broker_urls(settings.require_amqp_url())
    if settings.forward_to is None:
        raise SettingError("name the queue to forward updates to: give --to QUEUE or set JOBTRAIL_FORWARD_TO")
    registry = CollectorRegistry()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        service = ForwarderService(settings, settings.forward_to, database, registry)
        server = HealthServer(settings.health_host, settings.forwarder_health_port, registry, service.health)
        async with server:
            on_ready(server.port)
            await service.run(stop)
    log.info("stopped", action="forwarder.stopped")


class ForwarderService:
    """One forwarder process, which copies updates to the queue `to`; `run_forwarder` sets it up."""

    def __init__(self, settings: Settings, to: str, database: Database, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._to = to
        self._database = database
        self._metrics = ForwarderMetrics(registry)
        self._layout = LayoutRepository(database)
        self._group = f"forward {settings.forward_name}"
        self._sharing = Sharing(database, self._group, settings.retry_max_wait_s)
        self._is_prepared = False

    def health(self) -> Health:
        """Say how each stream of this process does."""
        states = self._sharing.states
        if self._sharing.error is not None:
            return Health(ok=False, details={"state": "reconnecting", "error": self._sharing.error})
        if not self._is_prepared:
            return Health(ok=False, details={"state": "starting"})
        bad = [state for state in states.values() if state.startswith(_BAD)]
        good = "forwarding" if "forwarding" in states.values() else "spare"
        state = bad[0].partition(":")[0] if bad else good
        details: dict[str, object] = {"state": state, "to": self._to, "pieces": dict(states)}
        if bad:
            details["error"] = bad[0]
        return Health(ok=not bad, details=details)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop; a target that is forwarded itself is a `SettingError`."""
        await self._sharing.run(self._pieces, stop)

    async def _pieces(self) -> Mapping[str, Work]:
        """List the work that this process knows of."""
        layout = await self._layout.read()
        self._is_prepared = True
        streams = dict.fromkeys([*self._settings.reply_streams, *layout.known])
        if self._to in streams:
            raise SettingError(f"updates can't be forwarded to {self._to}: they come from it")
        return {f"{self._group} {stream}": partial(self._forward, stream) for stream in streams}

    async def _forward(self, stream: str, stop: asyncio.Event, attempt: int, tell: Callable[[str], None]) -> None:
        forwarder = Forwarder(
            stream,
            self._to,
            self._settings,
            self._database,
            metrics=self._metrics,
            stop=stop,
            attempt=attempt,
            tell=tell,
        )
        await forwarder.run(tell)

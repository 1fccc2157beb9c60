"""The consumer as a service: sessions one after another, health and metrics beside them."""

import asyncio
import gc
from collections.abc import Callable

import aiormq
import structlog
from prometheus_client import CollectorRegistry

from consumer.intake import Intake
from consumer.metrics import ConsumerMetrics, QueueMetrics
from consumer.session import Session
from consumer.status_reader import StatusReader
from heartbeat.health import Health, HealthServer
from heartbeat.pause import pause
from models.delivery import Delivery
from models.errors import OwnershipLostError, UnreachableError
from models.settings import Settings
from models.topology import reply_queue_arguments
from publisher.amqp import declare_queue
from publisher.backoff import Backoff
from store.database import Database
from store.trail import Trail

log = structlog.get_logger()


async def run_consumer(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Consume the reply queue until told to stop, through outages of the broker and the database.

    Args:
        settings: The settings; both URLs must be set.
        stop: Set it to let the consumer finish its batch, acknowledge and leave.
        on_ready: Called once with the port of the health page.

    Raises:
        SettingError: A setting is unusable.
    """
    registry = CollectorRegistry()
    metrics = ConsumerMetrics(registry).of(settings.reply_queue)
    health = Health(ok=False, details={"state": "starting"})
    async with (
        Database(settings.require_mongo_url(), settings.database) as database,
        HealthServer(settings.health_host, settings.consumer_health_port, registry, lambda: health) as server,
    ):
        on_ready(server.port)
        gc.freeze()  # what start-up made stays for good: the collector need not look at it again and again
        backoff = Backoff(most_s=settings.retry_max_wait_s)
        while not stop.is_set():
            session = _session(settings, database, metrics, stop)
            try:
                await database.ensure_indexes()
                await session.open()
                health = Health(ok=True, details={"state": "consuming", "queue": settings.reply_queue})
                backoff.reset()
                await session.run()
            except (UnreachableError, OwnershipLostError) as error:
                health = Health(ok=False, details={"state": "reconnecting", "error": str(error)})
                metrics.reconnects.labels(type(error).__name__).inc()
                wait_s = backoff.next_s()
                log.warning("session ended", action="consumer.session_ended", error=str(error), wait_s=round(wait_s, 2))
                await pause(wait_s, stop)
            finally:
                await session.close()
    log.info("stopped", action="consumer.stopped")


def _session(settings: Settings, database: Database, metrics: QueueMetrics, stop: asyncio.Event) -> Session[Delivery]:
    async def declare(connection: aiormq.Connection) -> None:
        await declare_queue(connection, settings.reply_queue, reply_queue_arguments(settings.dead_letter_queue))

    intake = Intake(
        settings.require_amqp_url(),
        settings.reply_queue,
        purpose="consumer",
        declare=declare,
        prefetch=settings.prefetch,
    )
    return Session(
        settings.reply_queue,
        intake=intake,
        reader=StatusReader(settings, metrics),
        keeper=Trail(database),
        settings=settings,
        metrics=metrics,
        stop=stop,
    )

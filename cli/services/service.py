"""Runs one service until it is told to stop by a signal."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from jobtrail.cli.places import place_of
from jobtrail.cli.services.logs import set_up_logs
from jobtrail.models.settings import Settings

log = structlog.get_logger()

Service = Callable[[asyncio.Event, Callable[[int], None]], Awaitable[None]]
"""Takes the event that stops it, and what to call with its health page's port."""


def run_service(name: str, settings: Settings, service: Service) -> None:
    """Run a service until SIGTERM or SIGINT; a second signal does not hurry it.

    Args:
        name: What it is, for the log.
        settings: The settings; the service requires those that it needs.
        service: The service.

    Raises:
        SettingError: A setting is missing or wrong.
    """
    database = place_of(settings.require_mongo_url())
    broker = place_of(settings.amqp_url.get_secret_value()) if settings.amqp_url else None
    set_up_logs(settings)
    log.info(
        "Starting",
        action=f"{name}.starting",
        broker=broker,
        database=f"{database}, {settings.database}",
    )
    # Not asyncio's own loop: with this one an update is visible in three quarters of the time.
    uvloop.run(_run(name, settings, service))


async def _run(name: str, settings: Settings, service: Service) -> None:
    stop = asyncio.Event()

    def ask_to_stop(number: signal.Signals) -> None:
        log.info("Stopping", action=f"{name}.stopping", signal=number.name)
        stop.set()

    def tell_pages(port: int) -> None:
        address = f"http://{settings.health_host}:{port}"
        log.info(
            "Serving health and metrics",
            action=f"{name}.pages",
            health=f"{address}/health",
            metrics=f"{address}/metrics",
        )

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask_to_stop, number)
    await service(stop, tell_pages)

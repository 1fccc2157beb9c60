"""The web as a service: uvicorn in the caller's event loop."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

import structlog
import uvicorn

from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.store.access.tokens import TokenRepository
from jobtrail.store.database import Database
from jobtrail.web.app import make_app
from jobtrail.web.auth.hosts import is_open
from jobtrail.web.live.hub import make_hub
from jobtrail.web.render import compile_templates

log = structlog.get_logger()

_GRACE_S = 5
"""How long a stop waits for requests that are being answered."""
_PATIENCE_S = 20
"""How long a client may leave sent data unread."""
_MAX_UNSENT_BYTES = 128 * 1024
"""What may wait in the operating system for one client."""


class _Server(uvicorn.Server):
    """Leaves the signals to the caller."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator there
        return nullcontext()


async def run_web(
    settings: Settings, stop: asyncio.Event, on_ready: Callable[[int], None] = lambda _port: None
) -> None:
    """Serve until `stop` is set, through outages of the database; `on_ready` gets the port.

    It raises SettingError for an unusable address, and where a token is needed and none is valid.
    """
    async with Database(settings.require_mongo_url(), settings.database) as database:
        if not is_open(settings):
            await _require_token(settings, database)
        compile_templates()
        hub = make_hub(settings, database)
        config = uvicorn.Config(
            make_app(settings, database, hub),
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            # Forwarded addresses are trusted only where a proxy is known to be there.
            proxy_headers=settings.web_url is not None,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )
        with _listen(settings.web_host, settings.web_port) as listener:
            host, port = listener.getsockname()[:2]
            log.info("Serving", action="web.serving", url=f"http://{f'[{host}]' if ':' in host else host}:{port}/")
            on_ready(port)
            server = _Server(config)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(server.serve(sockets=[listener]))
                tasks.create_task(hub.run(stop))  # which ends the streams, so that nothing waits for them
                await stop.wait()
                server.should_exit = True
    log.info("Stopped", action="web.stopped")


async def _require_token(settings: Settings, database: Database) -> None:
    """Refuse to start where a token is needed and there is none.

    While the database is away the web starts all the same: without a valid token nobody gets in.
    """
    try:
        found = await TokenRepository(database).any_valid(datetime.now(UTC))
    except StoreError as error:
        log.warning("No database", action="web.no_database", error=str(error))
        return
    if not found:
        raise SettingError(
            f"the web at {settings.web_url or settings.web_host} asks for a token, and there is no valid one: make one "
            "with `jobtrail token create NAME --role operator`, or set JOBTRAIL_WEB_HOST=127.0.0.1 to serve this "
            "machine only"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
        # What is accepted inherits these. asyncio sets the first one only for sockets that name their protocol; without
        # it each answer's body waits 40 ms until the client has acknowledged its head.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client that reads nothing is disconnected, and little waits for it in the system.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PATIENCE_S * 1000)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _MAX_UNSENT_BYTES)
        return listener
    except OSError as error:
        raise SettingError(f"can't listen on {host}:{port} for the web: {error.strerror or error}") from error

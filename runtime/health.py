"""The health and metrics pages of a service: `GET /health` (JSON, 200 or 503) and `GET /metrics` (Prometheus)."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from jobtrail.models.errors import SettingError

_HEADERS = {"Cache-Control": "no-store"}
_SHUTDOWN_S = 0.5
"""Seconds that requests under way get when the service stops."""
_PATIENCE_S = 5.0
"""Seconds that a connection may stay without a request; aiohttp would keep it for an hour."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Health:
    """How a service does."""

    ok: bool
    details: Mapping[str, object] = field(default_factory=dict)
    """What the JSON says beside `ok`."""


class HealthServer:
    """Serves both pages in the service's own event loop, so that a stuck service does not answer that it is well.

    Port 0 picks a free port. `check` is called for each request.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, check: Callable[[], Health]) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        self._check = check
        app = web.Application()
        app.router.add_get("/health", self._health, allow_head=False)
        app.router.add_get("/metrics", self._metrics, allow_head=False)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S, keepalive_timeout=_PATIENCE_S)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    async def __aenter__(self) -> Self:
        """Start to listen; an address that can't be used is a `SettingError`."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            address = f"{self._host}:{self._port}"
            raise SettingError(
                f"can't listen on {address} for /health and /metrics: {error.strerror or error}"
            ) from error
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _health(self, _request: web.Request) -> web.Response:
        health = self._check()
        status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"ok": health.ok, **health.details}, default=str).encode()
        return web.Response(body=body, status=status, content_type="application/json", headers=_HEADERS)

    async def _metrics(self, _request: web.Request) -> web.Response:
        headers = {**_HEADERS, "Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
        return web.Response(body=generate_latest(self._registry), headers=headers)

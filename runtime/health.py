"""The health and metrics pages of a service: `GET /health` (JSON, 200 or 503) and `GET /metrics` (Prometheus)."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from jobtrail.models.errors import SettingError

MAX_REQUEST_BYTES = 8 * 1024
REQUEST_TIMEOUT_S = 5.0


@dataclass(slots=True, frozen=True, kw_only=True)
class Health:
    """How a service does."""

    ok: bool
    details: Mapping[str, object] = field(default_factory=dict)
    """What the JSON says beside `ok`."""


@dataclass(slots=True, frozen=True)
class _Answer:
    status: HTTPStatus
    content_type: str
    body: bytes


class HealthServer:
    """A tiny HTTP server in the service's own event loop, so that a stuck service does not answer that it is well.

    Args:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        registry: The metrics.
        check: Called for each question; returns how the service does.
    """

    def __init__(self, host: str, port: int, registry: CollectorRegistry, check: Callable[[], Health]) -> None:
        self._host = host
        self._port = port
        self._registry = registry
        self._check = check
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._port

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            SettingError: The address or port can't be used.
        """
        try:
            self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=MAX_REQUEST_BYTES)
        except OSError as error:
            address = f"{self._host}:{self._port}"
            raise SettingError(
                f"can't listen on {address} for /health and /metrics: {error.strerror or error}"
            ) from error
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for serving in self._serving:
                serving.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                answer = await self._read_and_answer(reader)
                writer.write(_encoded(answer))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
            pass  # the asker went away, or never asked
        finally:
            writer.close()

    async def _read_and_answer(self, reader: asyncio.StreamReader) -> _Answer:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        words = head.split(b"\r\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _plain(HTTPStatus.BAD_REQUEST)
        path = words[1].split(b"?", 1)[0]
        if path not in (b"/health", b"/metrics"):
            return _plain(HTTPStatus.NOT_FOUND)
        if words[0] != b"GET":
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED)
        if path == b"/metrics":
            return _Answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry))
        health = self._check()
        status = HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE
        body = json.dumps({"ok": health.ok, **health.details}, default=str).encode()
        return _Answer(status, "application/json", body)


def _plain(status: HTTPStatus) -> _Answer:
    return _Answer(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode())


def _encoded(answer: _Answer) -> bytes:
    allow = "Allow: GET\r\n" if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + answer.body

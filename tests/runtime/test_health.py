"""The health and metrics pages."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry, Counter

from jobtrail.models.errors import SettingError
from jobtrail.runtime import health
from jobtrail.runtime.health import Health, HealthServer
from tests.support import WAIT_S


async def ask(server: HealthServer, request: bytes) -> tuple[int, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), content


@pytest.fixture
async def state():
    return {"ok": True}


@pytest.fixture
async def server(state):
    registry = CollectorRegistry()
    Counter("things", "Things", registry=registry).inc()
    async with HealthServer("127.0.0.1", 0, registry, lambda: Health(ok=state["ok"], details={"why": "because"})) as it:
        yield it


async def test_health_is_200_when_well_and_503_when_not(server, state):
    status, headers, content = await ask(server, b"GET /health HTTP/1.1\r\n\r\n")
    assert (status, content) == (200, b'{"ok": true, "why": "because"}')
    assert headers["Content-Length"] == str(len(content))
    assert headers["Connection"] == "close"
    state["ok"] = False
    assert (await ask(server, b"GET /health?x=1 HTTP/1.0\r\n\r\n"))[0] == 503


async def test_metrics_are_given_in_prometheus_text(server):
    status, headers, content = await ask(server, b"GET /metrics HTTP/1.1\r\n\r\n")
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/plain")
    assert b"things_total 1.0" in content


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"POST /health HTTP/1.1\r\n\r\n", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431),
    ],
)
async def test_other_requests_are_refused(server, request_bytes, status):
    assert (await ask(server, request_bytes))[0] == status


async def test_an_asker_that_says_nothing_is_dropped(server, monkeypatch):
    monkeypatch.setattr(health, "REQUEST_TIMEOUT_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    writer.close()
    await writer.wait_closed()


async def test_a_port_that_is_taken_is_a_clear_error(server):
    with pytest.raises(SettingError, match=f"{server.port}"):
        async with HealthServer("127.0.0.1", server.port, CollectorRegistry(), lambda: Health(ok=True)):
            pass

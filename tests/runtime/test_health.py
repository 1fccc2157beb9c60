"""The health and metrics pages."""

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from jobtrail.models.errors import SettingError
from jobtrail.runtime.health import Health, HealthServer


async def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    address = f"http://127.0.0.1:{server.port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, address) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.read()


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
    status, _, content = await ask(server, "/health")
    assert (status, content) == (200, b'{"ok": true, "why": "because"}')
    state["ok"] = False
    assert (await ask(server, "/health?x=1"))[0] == 503


async def test_metrics_are_given_in_prometheus_text(server):
    status, content_type, content = await ask(server, "/metrics")
    assert (status, content_type.split(";")[0]) == (200, "text/plain")
    assert b"things_total 1.0" in content


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/", 404), ("POST", "/health", 405)])
async def test_other_requests_are_refused(server, method, path, status):
    assert (await ask(server, path, method))[0] == status


async def test_a_port_that_is_taken_is_a_clear_error(server):
    with pytest.raises(SettingError, match=f"{server.port}"):
        async with HealthServer("127.0.0.1", server.port, CollectorRegistry(), lambda: Health(ok=True)):
            pass

"""The streams of REST, as a program hears them over the network."""

import asyncio
import gc
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import httpx
import pytest

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.web.live.subscription import Subscription
from tests.support import WAIT_S, eventually_async
from tests.web.conftest import Tokens, serving
from tests.web.live.client import listening
from tests.web.live.writer import Writer

ALL = "/api/v1/stream"


def subscriptions() -> Sequence[Subscription]:
    return [each for each in gc.get_objects() if type(each) is Subscription]


async def test_each_stream_tells_its_updates_as_they_are_stored(port: int, writer: Writer) -> None:
    paths = {
        ALL: ["1", "2", "3", "4"],
        "/api/v1/jobs/a%2Fb/stream": ["1", "3"],
        "/api/v1/jobs/nobody/stream": ["4"],
        "/api/v1/resources/f%2F%C3%BC/stream": ["1", "2"],
    }
    async with (
        listening(port, ALL) as everything,
        listening(port, "/api/v1/jobs/a%2Fb/stream") as job,
        listening(port, "/api/v1/jobs/nobody/stream") as nobody,
        listening(port, "/api/v1/resources/f%2F%C3%BC/stream") as resource,
    ):
        clients = dict(zip(paths, (everything, job, nobody, resource), strict=True))
        await asyncio.gather(*(client.located() for client in clients.values()))
        await writer.store(("a/b", "f/ü", "1"), (None, "f/ü", "2"))
        await writer.store(("a/b", "other", "3"), ("nobody", "other", "4"))
        for path, messages in paths.items():
            assert await clients[path].messages(len(messages)) == messages


async def test_an_update_has_all_that_is_known_of_it_and_the_answer_is_kept_by_nobody(
    port: int, writer: Writer
) -> None:
    async with listening(port, ALL) as client:
        assert client.status == 200
        assert client.headers["content-type"].startswith("text/event-stream")
        assert client.headers["cache-control"] == "no-store"
        assert client.headers["x-accel-buffering"] == "no"
        assert "content-length" not in client.headers
        await client.located()
        await writer.say("line one\nline two\r\u2028\x00 <script>\ud7ff")
        event = await client.event()
    assert event is not None
    told = event.data.pop("event")
    assert event.data == {"job_id": "j-1", "extractor_id": "x", "resource_id": "f-1", "user_id": None}
    assert told["message"] == "line one\nline two\r\u2028\x00 <script>\ud7ff"
    assert (told["status"], told["seq"], told["position"], told["attempt"]) == ("PROCESSING", 1, 1, 1)
    assert event.id == client.last_id


async def test_the_header_goes_before_the_query_and_both_resume(port: int, writer: Writer) -> None:
    async with listening(port, ALL) as client:
        begin = await client.located()
        await writer.say("1")
        await writer.say("2")
        await client.messages(1)
        first = client.last_id
    async with listening(port, f"{ALL}?last_event_id={begin}") as client:
        assert await client.messages(2) == ["1", "2"]
    async with listening(port, f"{ALL}?last_event_id={begin}", after=first) as client:
        assert await client.messages(1) == ["2"]
    async with listening(port, ALL, after="never told") as client:
        event = await client.event()
        assert event is not None
        assert (event.kind, event.data, event.id) == ("reset", {}, client.last_id)


async def test_a_stream_goes_on_after_the_web_was_started_anew(
    settings: Settings, database: Database, writer: Writer
) -> None:
    async with serving(settings) as web, listening(web.base_url.port or 0, ALL) as client:
        await client.located()
        await writer.say("1")
        await client.messages(1)
        last_id = client.last_id
    await writer.say("2")
    async with serving(settings) as web, listening(web.base_url.port or 0, ALL, after=last_id) as client:
        assert await client.messages(1) == ["2"]
        await writer.say("3")
        assert await client.messages(1) == ["3"]


async def test_an_update_of_any_size_arrives_whole(port: int, writer: Writer) -> None:
    large = "é\n" * 700_000
    async with listening(port, ALL) as client:
        begin = await client.located()
        await writer.say(large, "small")
        assert await client.messages(2) == [large, "small"]
    async with listening(port, "/api/v1/jobs/j-1/stream", after=begin) as client:
        assert await client.messages(2) == [large, "small"]


async def test_a_client_that_goes_is_noticed(port: int, writer: Writer) -> None:
    async with listening(port, ALL) as staying:
        async with listening(port, ALL) as going:
            await asyncio.gather(staying.located(), going.located())
            assert len(subscriptions()) == 2

        async def has_gone() -> bool:
            return len(subscriptions()) == 1

        await eventually_async(has_gone)
        await writer.say("1")
        assert await staying.messages(1) == ["1"]


async def test_a_stop_ends_all_streams_at_once(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.web.service._GRACE_S", 2 * WAIT_S)
    clock = asyncio.get_running_loop().time
    async with AsyncExitStack() as stack:
        async with serving(settings) as web:
            paths = (ALL, "/api/v1/jobs/j-1/stream", "/api/v1/stream?last_event_id=x", "/live?topic=all")
            clients = [
                await stack.enter_async_context(listening(web.base_url.port or 0, path))
                for path in paths
                for _ in "123"
            ]
            await asyncio.gather(*(client.located() for client in clients[:-3]))
            asked_s = clock()
        assert clock() - asked_s < WAIT_S  # a request that does not end by itself would have had twice as long
        for client in clients:
            while (event := await client.event()) is not None:
                assert event.kind in ("reset", "changed")


async def test_a_stream_ends_soon_after_its_token_was_revoked(
    settings: Settings, tokens: Tokens, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.web.live.sse.RECHECK_S", 0.1)
    monkeypatch.setattr("jobtrail.web.live.subscription.KEEPALIVE_S", 0.05)
    secret = await tokens.make("mine")
    async with serving(settings.model_copy(update={"web_auth": "tokens"})) as web:
        port = web.base_url.port or 0
        async with listening(port, ALL) as nobody:
            assert nobody.status == 401
        async with listening(port, ALL, token=secret) as client:
            await client.located()
            for _ in range(6):  # so that it is asked a few times whether the token is still valid
                await client.block()
            await writer.say("1")
            assert await client.messages(1) == ["1"]
            await tokens.repository.revoke("mine", datetime.now(UTC))
            async with asyncio.timeout(WAIT_S):
                while await client.block() is not None:
                    pass
        async with listening(port, ALL, token=secret) as client:
            assert client.status == 401


async def test_openapi_tells_of_the_streams(port: int) -> None:
    async with httpx.AsyncClient(timeout=WAIT_S) as web:
        told = (await web.get(f"http://127.0.0.1:{port}/api/openapi.json")).json()
    for path in (ALL, "/api/v1/jobs/{job_id}/stream", "/api/v1/resources/{resource_id}/stream"):
        operation = told["paths"][path]["get"]
        assert operation["responses"]["200"]["content"].keys() == {"text/event-stream"}
        assert "event: update\ndata: {" in operation["responses"]["200"]["content"]["text/event-stream"]["example"]
        assert {parameter["name"] for parameter in operation["parameters"]} >= {"Last-Event-ID", "last_event_id"}
    assert "/live" not in told["paths"]

"""Many clients at once, some of which read nothing: they hurt nobody, and are let go."""

import asyncio
import logging
from contextlib import AsyncExitStack

import psutil
import pytest

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.feed import TrailFeed
from jobtrail.web.live.hub import Hub
from jobtrail.web.live.replay_buffer import ReplayBuffer
from tests.support import eventually_async
from tests.web.conftest import serving
from tests.web.live.client import listening
from tests.web.live.test_stream import ALL, subscriptions
from tests.web.live.writer import Writer

READING_ALL, READING_ONE, IDLE = 100, 380, 20
WARM_UP, ROUNDS = 6, 24
BATCH, MESSAGE = 10, "x" * 10_000
BUFFER_BYTES = 256 * 1024
MAX_GROWTH_BYTES = 12 * 1024 * 1024
"""Of what is sent after the warm-up, idle clients would hold 36 MB."""


async def test_clients_that_read_nothing_are_dropped_and_all_others_hear_everything(
    settings: Settings,
    database: Database,
    writer: Writer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # The same with less: of what the buffer holds, and of the time that a client has.
    monkeypatch.setattr("jobtrail.web.service._PATIENCE_S", 2)
    monkeypatch.setattr(
        "jobtrail.web.service.make_hub",
        lambda _settings, own: Hub(TrailFeed(own), [], retry_max_wait_s=1, buffer=ReplayBuffer(max_bytes=BUFFER_BYTES)),
    )
    async with serving(settings) as web, AsyncExitStack() as stack:
        port = web.base_url.port or 0
        paths = [ALL] * READING_ALL + ["/api/v1/jobs/one/stream"] * READING_ONE
        readers = [await stack.enter_async_context(listening(port, path)) for path in paths]
        of_all, of_one = readers[:READING_ALL], readers[READING_ALL:]
        await asyncio.gather(*(reader.located() for reader in readers))
        for _ in range(IDLE):
            await stack.enter_async_context(listening(port, ALL, receive_bytes=4096))
        assert len(subscriptions()) == len(readers) + IDLE

        sizes = []
        for number in range(ROUNDS):
            told = [("one", "f", f"{number}"), *(("many", "f", f"{number}-{n} {MESSAGE}") for n in range(BATCH))]
            await writer.store(*told)
            messages = [message for _, _, message in told]
            for reader in of_all:
                assert await reader.messages(len(told)) == messages
            for reader in of_one:
                assert await reader.messages(1) == messages[:1]
            sizes.append(psutil.Process().memory_info().rss)

        async def only_readers_are_left() -> bool:
            return len(subscriptions()) == len(readers)

        await eventually_async(only_readers_are_left, 30)
        await writer.say("at last", job="one")
        assert {(await reader.messages(1))[0] for reader in readers} == {"at last"}
        assert max(sizes) - sizes[WARM_UP] < MAX_GROWTH_BYTES, sizes
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

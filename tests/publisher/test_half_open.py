"""A connection that is half open, so that nobody is told: it is noticed, and everything arrives by a new one."""

import asyncio
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

import jobtrail.publisher.sender as sender_module
from jobtrail.broker import watch
from jobtrail.publisher.async_reporter import AsyncReporter
from jobtrail.publisher.reporter import Reporter
from tests.heartbeat.test_sender import listening, sender
from tests.publisher.support import inbox, without_repeats
from tests.support import WAIT_S, eventually
from tests.tcp_proxy import TcpProxy

NOTICED_WITHIN_S = 20.0
QUICK_LOOK_S = 2.0
DIRECTIONS = {
    "from the worker": {"to_server": True, "to_client": False},
    "to the worker": {"to_server": False, "to_client": True},
    "both": {"to_server": True, "to_client": True},
}
STEPS = 20


@pytest.fixture(autouse=True)
def _looks_are_quick(monkeypatch):
    """What is tested is that looks notice it; how often they look decides only how soon."""
    assert (watch.MAX_SILENT_LOOKS + 1) * watch.LOOK_S < NOTICED_WITHIN_S
    monkeypatch.setattr(watch, "LOOK_S", QUICK_LOOK_S)
    monkeypatch.setattr(sender_module, "LOOK_S", QUICK_LOOK_S)


@dataclass
class Way:
    """One reporter's connection, by a proxy of its own, and the queue at its end."""

    directions: dict[str, bool]
    proxy: TcpProxy
    queue: str


@pytest.fixture
def ways(amqp_url, names):
    with ExitStack() as stack:
        yield [
            Way(directions, stack.enter_context(TcpProxy(amqp_url)), names.queue(label))
            for label, directions in DIRECTIONS.items()
        ]


def arrived(amqp_url: str, queue: str) -> list[tuple[int, str]]:
    """Number and words of what has arrived, without repeats."""
    with inbox(amqp_url, queue) as replies:
        messages = eventually(lambda: replies.take_all(2 * STEPS + 2))
    return [(m.fields["sequence"], m.text) for m in without_repeats(messages)]


EXPECTED = [
    (1, "Started processing."),
    *((number + 2, str(number)) for number in range(2 * STEPS)),
    (2 * STEPS + 2, "Done processing."),
]


def test_a_reporters_half_open_connection_is_noticed_and_everything_arrives_once(amqp_url, tmp_path, ways):
    lasted_s: dict[str, float] = {}

    def report(way: Way) -> None:
        spool = tmp_path / way.queue
        with Reporter(way.proxy.url, "tests.extractor", reply_queue=way.queue, spool_path=spool) as reporter:
            with reporter.job("file") as job:
                for number in range(2 * STEPS):
                    if number == STEPS:
                        assert reporter.flush(WAIT_S)
                        way.proxy.freeze(**way.directions)
                    job.progress(str(number))
            frozen_at = time.monotonic()
            assert reporter.flush(WAIT_S)
            lasted_s[way.queue] = time.monotonic() - frozen_at
        assert way.proxy.accepted == 2

    for way in ways:
        with inbox(amqp_url, way.queue):
            pass
    threads = [threading.Thread(target=report, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lasted_s) == len(ways)
    assert max(lasted_s.values()) < NOTICED_WITHIN_S
    assert [arrived(amqp_url, way.queue) for way in ways] == [EXPECTED] * len(ways)


async def test_an_async_reporters_half_open_connection_is_noticed_and_everything_arrives_once(amqp_url, tmp_path, ways):
    async def report(way: Way) -> float:
        spool = tmp_path / way.queue
        async with AsyncReporter(way.proxy.url, "tests.extractor", reply_queue=way.queue, spool_path=spool) as reporter:
            async with reporter.job("file") as job:
                for number in range(2 * STEPS):
                    if number == STEPS:
                        assert await reporter.flush(WAIT_S)
                        way.proxy.freeze(**way.directions)
                    await job.progress(str(number))
            frozen_at = time.monotonic()
            assert await reporter.flush(WAIT_S)
            lasted_s = time.monotonic() - frozen_at
        assert way.proxy.accepted == 2
        return lasted_s

    for way in ways:
        with inbox(amqp_url, way.queue):
            pass
    lasted_s = await asyncio.gather(*(report(way) for way in ways))
    assert max(lasted_s) < NOTICED_WITHIN_S
    assert [arrived(amqp_url, way.queue) for way in ways] == [EXPECTED] * len(ways)


def test_a_connection_that_is_idle_is_watched_too(amqp_url, tmp_path, ways):
    with ExitStack() as stack:
        for way in ways:
            stack.enter_context(inbox(amqp_url, way.queue))
            reporter = stack.enter_context(
                Reporter(way.proxy.url, "tests.extractor", reply_queue=way.queue, spool_path=tmp_path / way.queue)
            )
            with reporter.job("file"):
                pass
            assert reporter.flush(WAIT_S)
        for way in ways:
            way.proxy.freeze(**way.directions)
        eventually(lambda: all(way.proxy.accepted > 1 for way in ways), NOTICED_WITHIN_S)


def test_heartbeats_go_on_after_a_half_open_connection(amqp_url, ways):
    with ExitStack() as stack:
        heartbeats = stack.enter_context(listening(amqp_url))
        for way in ways:
            stack.enter_context(sender(way.proxy.url, instance_id=way.queue, interval_s=0.5))

        def heard() -> dict[str, int]:
            return {way.queue: [each["id"] for each in heartbeats()].count(way.queue) for way in ways}

        eventually(lambda: min(heard().values()) > 1)
        for way in ways:
            way.proxy.freeze(**way.directions)
        # What is frozen on its way from the broker only goes on arriving at it, until its sender gives up.
        eventually(lambda: all(way.proxy.accepted == 2 for way in ways), NOTICED_WITHIN_S)
        before = heard()
        eventually(lambda: all(heard()[queue] > before[queue] + 1 for queue in before))

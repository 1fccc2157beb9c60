"""A cluster's nodes in one address: one that is away, or silent, is passed over."""

import socket
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

from jobtrail.publisher.async_reporter import AsyncReporter
from jobtrail.publisher.cancellation import cancel
from jobtrail.publisher.reporter import Reporter
from jobtrail.publisher.submission import submit
from tests.heartbeat.test_sender import listening, sender
from tests.publisher.support import inbox
from tests.support import WAIT_S, eventually, eventually_async
from tests.tcp_proxy import TcpProxy

NOBODY = "127.0.0.1:1"


@pytest.fixture(params=["several hosts", "several urls"])
def address(request, amqp_url):
    """An address whose first node is away."""
    if request.param == "several urls":
        return f"{urlsplit(amqp_url)._replace(netloc=NOBODY).geturl()},{amqp_url}"
    user, _, host = urlsplit(amqp_url).netloc.rpartition("@")
    return urlsplit(amqp_url)._replace(netloc=f"{user}@{NOBODY},{host}").geturl()


def test_a_reporter_finds_the_node_that_is_there(address, names, amqp_url, tmp_path):
    with inbox(amqp_url, names.queue()) as replies:
        with Reporter(address, "tests.extractor", reply_queue=names.queue(), spool_path=tmp_path) as reporter:
            with reporter.job("file"):
                pass
            assert reporter.flush(WAIT_S)
        assert replies.kinds() == ["STARTED", "SUCCEEDED"]


async def test_an_async_reporter_finds_the_node_that_is_there(address, names, amqp_url, tmp_path):
    with inbox(amqp_url, names.queue()) as replies:
        async with AsyncReporter(
            address, "tests.extractor", reply_queue=names.queue(), spool_path=tmp_path
        ) as reporter:
            async with reporter.job("file"):
                pass
            assert await reporter.flush(WAIT_S)
        assert replies.kinds() == ["STARTED", "SUCCEEDED"]


def test_heartbeats_find_the_node_that_is_there(address, amqp_url):
    with listening(amqp_url) as heartbeats, sender(address):
        eventually(heartbeats)


def test_a_job_is_submitted_and_cancelled_by_the_node_that_is_there(address, names, amqp_url):
    with inbox(amqp_url, names.queue("work")), inbox(amqp_url, names.queue("replies")) as replies:
        job_id = submit(address, names.queue("work"), resource_id="file", reply_queue=names.queue("replies"))
        cancel(address, names.queue("work"), job_id)
        assert replies.kinds() == ["SUBMITTED", "CANCELLED"]


@contextmanager
def silent_node():
    """A machine that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_a_node_that_says_nothing_is_passed_over(names, amqp_url, tmp_path):
    parts = urlsplit(amqp_url)
    user, _, host = parts.netloc.rpartition("@")
    with silent_node() as silent, inbox(amqp_url, names.queue()) as replies:
        address = parts._replace(netloc=f"{user}@{silent},{host}").geturl()
        settings = {"reply_queue": names.queue(), "spool_path": tmp_path}
        with Reporter(address, "threads", **settings) as threads, threads.job("file"):
            async with AsyncReporter(address, "asyncio", **settings) as reporter, reporter.job("file"):
                await eventually_async(lambda: _has(replies, 2))


async def _has(replies, count: int) -> bool:
    return len(replies.take()) >= count


def test_a_reporter_whose_node_is_lost_goes_on_with_the_next(names, amqp_url, tmp_path):
    with ExitStack() as stack:
        proxies = [stack.enter_context(TcpProxy(amqp_url)) for _ in range(2)]
        replies = stack.enter_context(inbox(amqp_url, names.queue()))
        reporter = stack.enter_context(
            Reporter(
                ",".join(proxy.url for proxy in proxies),
                "tests.extractor",
                reply_queue=names.queue(),
                spool_path=tmp_path,
            )
        )
        with reporter.job("file"):
            assert reporter.flush(WAIT_S)
            assert [proxy.accepted for proxy in proxies] == [1, 0]
            proxies[0].close()
        assert reporter.flush(WAIT_S)
        assert proxies[1].accepted == 1
        assert replies.kinds() == ["STARTED", "SUCCEEDED"]

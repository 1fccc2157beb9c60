"""A broker that is short of memory takes nothing for a while: whoever waits is told, and no connection is given up."""

import asyncio
import time
from contextlib import ExitStack

import pytest

from jobtrail.models.errors import BrokerError
from jobtrail.publisher.async_reporter import AsyncReporter
from jobtrail.publisher.reporter import Reporter
from jobtrail.publisher.submission import submit
from tests.heartbeat.test_sender import listening, sender
from tests.publisher.support import inbox, soon
from tests.support import WAIT_S, eventually
from tests.tcp_proxy import TcpProxy

QUEUE = "replies-in-an-alarm"
NO_MEMORY = "0.00001"
LONG_S = 25.0
"""Longer than a connection that does not answer is kept."""


async def test_a_broker_short_of_memory_is_waited_for(own_rabbitmq, tmp_path):
    url = own_rabbitmq.url
    with ExitStack() as stack:
        replies = stack.enter_context(inbox(url, QUEUE))
        heartbeats = stack.enter_context(listening(url))
        proxies = [stack.enter_context(TcpProxy(url)) for _ in range(3)]
        reporter = stack.enter_context(
            Reporter(proxies[0].url, "threads", reply_queue=QUEUE, spool_path=tmp_path / "threads")
        )
        stack.enter_context(sender(proxies[1].url, interval_s=0.5))
        async with AsyncReporter(
            proxies[2].url, "asyncio", reply_queue=QUEUE, spool_path=tmp_path / "asyncio"
        ) as other:
            await soon(heartbeats)
            with reporter.job("file") as job:
                async with other.job("file") as other_job:
                    assert reporter.flush(WAIT_S)
                    assert await other.flush(WAIT_S)
                    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", NO_MEMORY)
                    job.progress("while memory is short")
                    await other_job.progress("while memory is short")
                    blocked_at = time.monotonic()
                    while time.monotonic() < blocked_at + LONG_S:
                        with pytest.raises(BrokerError, match="short of memory or disk"):
                            await asyncio.to_thread(submit, url, "work", resource_id="file", reply_queue=QUEUE)
                    assert reporter.unsent == other.unsent == 1
                    before = len(heartbeats())
                    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.5")
            assert await asyncio.to_thread(reporter.flush, WAIT_S)
            assert await other.flush(WAIT_S)
            eventually(lambda: len(heartbeats()) > before + 1)
        assert [proxy.accepted for proxy in proxies] == [1, 1, 1]
        assert len({m.properties.message_id for m in replies.take() if m.kind != "SUBMITTED"}) == 6

"""A broker that takes updates, answers all else, and confirms none: they are sent again over another connection."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from jobtrail.publisher import AsyncReporter, Reporter, dispatch
from jobtrail.stack.rabbitmq import RabbitMq
from tests.support import eventually, eventually_async
from tests.tcp_proxy import TcpProxy

QUEUE = "swallows"
_PROCESS = f'{{ok, Q}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{QUEUE}">>)), amqqueue:get_pid(Q)'


@pytest.fixture
def proxy(own_rabbitmq: RabbitMq, monkeypatch: pytest.MonkeyPatch) -> Iterator[TcpProxy]:
    """The way to a broker whose queue swallows what it gets."""
    monkeypatch.setattr(dispatch, "CONFIRM_TIMEOUT_S", 2.0)
    with pika.BlockingConnection(pika.URLParameters(own_rabbitmq.url)) as connection:
        connection.channel().queue_declare(QUEUE, durable=True)
    own_rabbitmq.control("eval", f"sys:suspend(begin {_PROCESS} end).")
    with TcpProxy(own_rabbitmq.url) as proxy:
        yield proxy


def resume(broker: RabbitMq) -> None:
    broker.control("eval", f"sys:resume(begin {_PROCESS} end).")


def test_a_reporter_sends_again(proxy: TcpProxy, own_rabbitmq: RabbitMq, tmp_path: Path) -> None:
    with Reporter(proxy.url, "x", reply_queue=QUEUE, spool_path=tmp_path / "spool") as reporter:
        with reporter.job("file-1"):
            pass
        eventually(lambda: proxy.accepted > 1)
        resume(own_rabbitmq)
        assert reporter.flush(60)


async def test_an_async_reporter_sends_again(proxy: TcpProxy, own_rabbitmq: RabbitMq, tmp_path: Path) -> None:
    async with AsyncReporter(proxy.url, "x", reply_queue=QUEUE, spool_path=tmp_path / "spool") as reporter:
        async with reporter.job("file-1"):
            pass

        async def is_back() -> bool:
            return proxy.accepted > 1

        await eventually_async(is_back)
        await asyncio.to_thread(resume, own_rabbitmq)
        assert await reporter.flush(60)

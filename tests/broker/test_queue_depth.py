"""Asking the broker how much waits in a queue."""

import asyncio
import socket
import time
from collections.abc import Iterator

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr

from jobtrail.broker import queue_depth
from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.stack.ports import free_port
from tests.support import Names, eventually_async

WAIT_FOR_SILENT_S = 4.0
"""Twice the promise, as machines are busy; an answer of the broker may take ten seconds elsewhere."""


@pytest.fixture
def channel(amqp_url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel


async def test_the_broker_says_how_many_requests_and_consumers_there_are(
    amqp_url: str, channel: BlockingChannel, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = names.queue()
    gauge = QueueGauge(SecretStr(amqp_url))
    assert await gauge.read(queue) == QueueDepth(queue=queue, missing=True)
    channel.queue_declare(queue)
    for _ in range(3):
        channel.basic_publish("", queue, b"work")
    # All who ask share the answer, and it is kept for a while.
    assert len({id(each) for each in await asyncio.gather(*(gauge.read(queue) for _ in range(5)))}) == 1
    assert (await gauge.read(queue)).missing
    monkeypatch.setattr(queue_depth, "KEPT_S", -1)

    async def is_told(waiting: int, consumers: int) -> bool:
        return await gauge.read(queue) == QueueDepth(queue=queue, waiting=waiting, consumers=consumers)

    await eventually_async(lambda: is_told(3, 0))
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, lambda *_: None)
    await eventually_async(lambda: is_told(2, 1))


async def test_a_broker_that_cant_be_asked_is_told_and_not_asked_again_at_once(amqp_url: str) -> None:
    url = f"amqp://guest:secret@127.0.0.1:{free_port()}/"
    gauge = QueueGauge(SecretStr(url))
    answer = await gauge.read("q")
    assert answer == QueueDepth(queue="q", problem="the broker can't be asked")
    assert await gauge.read("q") is answer
    assert await QueueGauge(None).read("q") == QueueDepth(queue="q", problem="no broker is configured")
    assert (await QueueGauge(SecretStr("amqp://")).read("q")).problem == "the broker can't be asked"


async def test_no_name_is_too_strange(amqp_url: str) -> None:
    gauge = QueueGauge(SecretStr(amqp_url))
    assert (await gauge.read("q" * 256)).missing
    assert (await gauge.read("a queue; with signs")).missing
    assert (await gauge.read("half a character: \ud800")).problem is not None


async def test_the_nodes_of_a_cluster_are_asked_in_turn(amqp_url: str) -> None:
    away = f"amqp://guest:secret@127.0.0.1:{free_port()}/"
    assert (await QueueGauge(SecretStr(f"{away},{amqp_url}")).read("q")).missing


async def test_a_broker_that_says_nothing_is_waited_for_no_longer_than_two_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        answer = await QueueGauge(SecretStr(f"amqp://guest:secret@127.0.0.1:{silent.getsockname()[1]}/")).read("q")
    assert answer.problem is not None
    assert time.monotonic() - began < WAIT_FOR_SILENT_S


@pytest.mark.parametrize("stream", [True, False])
async def test_who_reads_a_stream_is_not_counted(
    amqp_url: str, channel: BlockingChannel, names: Names, stream: bool
) -> None:
    queue = names.queue()
    channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "stream"} if stream else {})
    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, lambda *_: None)
    assert (await QueueGauge(SecretStr(amqp_url)).read(queue)).consumers == (0 if stream else 1)


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_depth, "KEPT_QUEUES", 2)
    gauge = QueueGauge(None)
    first = await gauge.read("a")
    await gauge.read("b")
    await gauge.read("c")
    assert await gauge.read("a") is not first

"""Equal updates, which nothing tells apart but their offsets, are each stored once, whatever fails in between."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from jobtrail.models.settings import Settings
from tests.consumer.conftest import Bench, ConsumerProcess
from tests.consumer.updates import update
from tests.support import eventually
from tests.tcp_proxy import TcpProxy

MakeConsumer = Callable[[Settings], ConsumerProcess]
SAME = update("j", "processing", "the same")
REPLACED_WITHIN_S = 20.0
FROZEN_S = 180.0 if os.environ.get("SOAK") else 0.0
"""Seconds that a frozen owner stays so after it was replaced."""


@pytest.fixture
def proxy(amqp_url: str) -> Iterator[TcpProxy]:
    """A network between the consumer and the broker."""
    with TcpProxy(amqp_url) as proxy:
        yield proxy


def numbers(bench: Bench) -> list[int]:
    """The numbers of all stored events in order of arrival."""
    return [event["seq"] for event in bench.events()]


def assert_stays(bench: Bench, count: int) -> None:
    """So many events are stored, each once, and one more that is published is the next one."""
    eventually(lambda: len(numbers(bench)) >= count)
    bench.publish(SAME)
    eventually(lambda: len(numbers(bench)) > count)
    assert numbers(bench) == list(range(1, count + 2))


@pytest.mark.parametrize("gap_s", [0.1, 1.35, 5.0])
@pytest.mark.parametrize("how", ["killed", "frozen and killed"])
def test_two_equal_updates_are_both_stored_when_the_consumer_is_killed_after_the_second(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer, gap_s: float, how: str
) -> None:
    consumer = consumer_process(settings)
    consumer.start()
    bench.publish(SAME)
    eventually(lambda: numbers(bench) == [1])
    time.sleep(gap_s)  # the gap itself is what is tested
    if how == "frozen and killed":
        consumer.signal(signal.SIGSTOP)
    bench.publish(SAME)
    consumer.kill()
    consumer.start()

    assert_stays(bench, 2)


@pytest.mark.parametrize("direction", ["to the consumer", "to the broker", "both"])
def test_a_burst_of_equal_updates_is_stored_whole_while_the_network_breaks(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer, proxy: TcpProxy, direction: str
) -> None:
    consumer = consumer_process(settings.model_copy(update={"amqp_url": SecretStr(proxy.url)}))
    consumer.start()
    bench.publish(*[SAME] * 100)
    eventually(lambda: len(numbers(bench)) == 100)
    bench.publish(*[SAME] * 200)
    proxy.freeze(to_client=direction != "to the broker", to_server=direction != "to the consumer")
    bench.publish(*[SAME] * 300)

    eventually(lambda: len(numbers(bench)) >= 600, REPLACED_WITHIN_S + 10)
    assert_stays(bench, 600)


def test_a_cut_connection_loses_and_doubles_nothing(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer, proxy: TcpProxy
) -> None:
    consumer = consumer_process(settings.model_copy(update={"amqp_url": SecretStr(proxy.url), "batch_max_count": 7}))
    consumer.start()
    for _ in range(10):
        bench.publish(*[SAME] * 50)
        proxy.cut()

    assert_stays(bench, 500)


def test_a_frozen_owner_is_replaced_and_steps_back_when_it_wakes_up(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer
) -> None:
    consumers = [consumer_process(settings), consumer_process(settings)]
    for consumer in consumers:
        consumer.start()
    eventually(lambda: members(bench) == 2)
    bench.publish(*[SAME] * 10)
    eventually(lambda: len(numbers(bench)) == 10)
    frozen = next(consumer for consumer in consumers if consumer.pid == owner_pid(bench))
    frozen.signal(signal.SIGSTOP)
    begun = time.monotonic()
    bench.publish(*[SAME] * 10)
    eventually(lambda: len(numbers(bench)) == 20, REPLACED_WITHIN_S + 10)
    assert time.monotonic() - begun < REPLACED_WITHIN_S
    assert owner_pid(bench) != frozen.pid
    time.sleep(FROZEN_S)  # how long it sleeps is what is tested
    frozen.signal(signal.SIGCONT)
    bench.disconnect()  # ours was idle for too long as well
    bench.publish(*[SAME] * 10)

    assert_stays(bench, 30)
    assert [consumer.terminate() for consumer in consumers] == [0, 0]


def members(bench: Bench) -> int:
    """How many consumers share the work."""
    return bench.database["leases"].count_documents({"_id": {"$regex": "^member of consumers "}})


def owner_pid(bench: Bench) -> int:
    """The process that holds the stream's lease."""
    lease = bench.database["leases"].find_one({"_id": f"stream {bench.settings.reply_stream}"})
    assert lease is not None
    return int(lease["process"]["pid"])

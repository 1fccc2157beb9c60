"""Queues of before and of others are copied into the stream: nothing is lost, what may be a repetition is marked."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pika
import pytest

from jobtrail.models.settings import Settings
from tests.consumer.conftest import Bench, ConsumerProcess, consuming
from tests.consumer.test_consumer_crashes import Load, differences, stream
from tests.consumer.updates import update
from tests.support import Names, eventually, eventually_async, messages_waiting

MakeConsumer = Callable[[Settings], ConsumerProcess]


@pytest.fixture(params=["classic", "quorum"])
def queue(request: pytest.FixtureRequest, bench: Bench, names: Names) -> str:
    """A reply queue as others declare it."""
    queue = names.queue("replies")
    bench.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": request.param})
    return queue


@pytest.fixture
def bridged(settings: Settings, queue: str) -> Settings:
    """Settings by which that queue is bridged."""
    return settings.model_copy(update={"bridged_queues": queue})


def publish(bench: Bench, queue: str, *bodies: bytes, **properties: Any) -> None:
    for body in bodies:
        bench.channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2, **properties))


async def stored(bench: Bench, count: int) -> None:
    await eventually_async(lambda: asyncio.to_thread(lambda: len(bench.events()) == count))


async def test_what_waits_in_a_queue_is_stored_in_its_order_and_leaves_the_queue(
    bench: Bench, bridged: Settings, queue: str
) -> None:
    words = [f"step {number}" for number in range(700)]
    publish(bench, queue, *(update("j", "processing", each) for each in words), correlation_id="c")

    async with consuming(bridged):
        await stored(bench, len(words))
        await eventually_async(
            lambda: asyncio.to_thread(lambda: messages_waiting(bridged.require_amqp_url(), queue) == 0)
        )

    assert bench.messages() == words
    assert {event["queue"] for event in bench.events()} == {bridged.reply_stream}
    assert {event["correlation_id"] for event in bench.events()} == {"c"}
    assert not any("maybe_repeated" in event for event in bench.events())


async def test_a_queue_that_is_declared_later_is_bridged_then(bench: Bench, settings: Settings, names: Names) -> None:
    queue = names.queue("later")
    async with consuming(settings.model_copy(update={"bridged_queues": queue})):
        await asyncio.to_thread(bench.publish, update("j", "start", "to the stream"))
        await stored(bench, 1)
        bench.channel.queue_declare(queue, durable=True)
        await asyncio.to_thread(publish, bench, queue, update("j", "done", "to the queue"))
        await stored(bench, 2)


async def test_bad_messages_and_odd_properties_are_bridged_too(bench: Bench, bridged: Settings, queue: str) -> None:
    publish(bench, queue, b"{")
    publish(bench, queue, update("j", "start", "decimal"), headers={"d": Decimal("1.5")})
    publish(bench, queue, update("j", "done", "expires"), expiration="60000", user_id="jobtrail", priority=3)

    async with consuming(bridged):
        await stored(bench, 2)

    assert bench.messages() == ["decimal", "expires"]
    assert [letter["body"] for letter in bench.dead_letters()] == [b"{"]


async def test_with_partitions_the_updates_of_a_job_stay_in_one_stream(
    bench: Bench, bridged: Settings, queue: str, names: Names
) -> None:
    bridged = bridged.model_copy(update={"reply_partitions": 3, "reply_stream": names.queue("parted")})
    jobs = [f"job-{number}" for number in range(30)]
    bodies = [update(job, "processing", f"{job} {step}") for step in range(4) for job in jobs]
    publish(bench, queue, *bodies, update(None, "processing", "without job"))
    async with consuming(bridged):
        await stored(bench, len(bodies) + 1)

    by_job: dict[str, list[dict[str, Any]]] = {}
    for event in bench.database["extractions"].find({"job_id": {"$ne": None}}).sort("position", 1):
        by_job.setdefault(event["job_id"], []).append(event)
    for job, events in by_job.items():
        assert [event["message"] for event in events] == [f"{job} {step}" for step in range(4)]
        assert {event["queue"] for event in events} == {bridged.reply_to(job)}
    assert len({event["queue"] for events in by_job.values() for event in events}) == 3
    for name in bridged.reply_streams:
        bench.channel.queue_delete(name)


def test_a_bridge_killed_at_random_moments_loses_nothing_and_marks_what_may_be_a_repetition(
    bench: Bench, bridged: Settings, queue: str, consumer_process: MakeConsumer
) -> None:
    updates = [(body, words) for body, words in stream(jobs=200, steps=8)]
    target = Bench(bridged)
    target.publish_to = queue
    load = Load(target, updates, with_ids=False, rate_per_s=400)
    consumer = consumer_process(bridged)
    consumer.start()
    moments = random.Random(7)
    while load.running:
        time.sleep(moments.uniform(0.1, 1.0))  # the moment itself is what is tested
        consumer.kill()
        consumer.start()
    load.wait()
    eventually(lambda: messages_waiting(bridged.require_amqp_url(), queue) == 0)
    eventually(lambda: unmarked(bench) == Counter(identity(json.loads(body)) for body, _words in updates))

    marked = [event for event in bench.events() if "maybe_repeated" in event]
    firsts = {str(event["_id"]): event for event in bench.events()}
    for event in marked:
        assert identity(event) == identity(firsts[event["maybe_repeated"]])
    assert asyncio.run(differences(bridged)) == []
    target.close()


def unmarked(bench: Bench) -> Counter[Any]:
    """The stored updates that are no repetition, each with its number."""
    return Counter(identity(event) for event in bench.events() if "maybe_repeated" not in event)


def identity(update: Any) -> tuple[str, str]:
    return update["job_id"], update["status"]

"""Killing the consumer, the broker or the database at any moment loses nothing and doubles nothing."""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr

from jobtrail.models.settings import Settings
from jobtrail.stack.mongod import Mongod
from jobtrail.stack.rabbitmq import RabbitMq
from jobtrail.store.database import Database
from jobtrail.store.log.rebuild import Rebuild
from tests.consumer.conftest import Bench, ConsumerProcess
from tests.consumer.updates import update
from tests.support import eventually

MakeConsumer = Callable[[Settings], ConsumerProcess]


def stream(jobs: int, steps: int, retries: int = 0) -> list[tuple[bytes, str]]:
    """Updates of many jobs, interleaved, with their words; also byte-identical retry loops as pyClowder sends them."""
    updates: list[tuple[bytes, str]] = []
    for _block in range(jobs // 10):
        group = [str(uuid4()) for _ in range(10)]
        for step in range(steps):
            kind = "start" if step == 0 else "done" if step == steps - 1 else "processing"
            updates += [(update(job, kind, f"step {step}"), f"step {step}") for job in group]
        job = str(uuid4())
        for _retry in range(retries):
            updates += [(update(job, kind, kind), kind) for kind in ("start", "processing", "processing", "retry")]
    return updates


@pytest.fixture
def random_moments() -> random.Random:
    """A generator whose seed is shown when a test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of the random moments: {seed}")  # pytest shows it with a failure
    return random.Random(seed)


class Load:
    """Publishes a stream in the background, every message confirmed."""

    def __init__(self, bench: Bench, updates: list[tuple[bytes, str]], *, with_ids: bool, rate_per_s: int) -> None:
        self.words = [words for _body, words in updates]
        self._bench = bench
        self._updates = updates
        self._with_ids = with_ids
        self._pause_s = 1 / rate_per_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        self._thread.join(120)
        assert not self.running
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            begun = time.monotonic()
            for number, (body, _words) in enumerate(self._updates):
                properties = {"message_id": str(uuid4())} if self._with_ids else {}
                self._bench.publish(body, **properties)
                ahead_s = begun + number * self._pause_s - time.monotonic()
                if ahead_s > 0.01:
                    time.sleep(ahead_s)
        except BaseException as error:  # noqa: BLE001  # shown by wait()
            self._error = error


def wait_until_stored(bench: Bench, load: Load, timeout_s: float = 60) -> None:
    """Wait until as many events are stored as were published, and then for what should not come."""
    load.wait()
    events = bench.database["extractions"]
    eventually(lambda: events.count_documents({}) >= len(load.words), timeout_s)


def assert_whole(bench: Bench, load: Load) -> None:
    """What is stored is what was published, in order; the jobs are what their events say; no dead letters."""
    assert bench.messages() == load.words
    assert asyncio.run(differences(bench.settings)) == []
    assert bench.dead_letters() == []


async def differences(settings: Settings) -> list[str]:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        return [difference.what async for difference in Rebuild(database).verify()]


@pytest.mark.parametrize("with_ids", [False, True], ids=["messages without id", "messages with id"])
def test_a_consumer_killed_at_random_moments_under_load_loses_and_doubles_nothing(
    bench: Bench,
    settings: Settings,
    consumer_process: MakeConsumer,
    random_moments: random.Random,
    with_ids: bool,
) -> None:
    load = Load(bench, stream(jobs=300, steps=8, retries=11), with_ids=with_ids, rate_per_s=500)
    consumer = consumer_process(settings)
    consumer.start()
    kills = 0
    while load.running or kills < 5:
        time.sleep(random_moments.uniform(0.1, 1.6))  # the moment itself is what is tested
        consumer.kill()
        consumer.start()
        kills += 1
    wait_until_stored(bench, load)

    assert_whole(bench, load)


def test_a_backlog_of_identical_messages_survives_kills(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer, random_moments: random.Random
) -> None:
    body = update(None, "processing", "the same")
    bench.publish(*[body] * 900)
    consumer = consumer_process(settings.model_copy(update={"batch_max_count": 20}))
    events = bench.database["extractions"]
    for _ in range(6):
        before = events.count_documents({})
        consumer.start()
        eventually(lambda before=before: events.count_documents({}) > min(before + random_moments.randrange(150), 899))
        consumer.kill()
    consumer.start()
    eventually(lambda: stored_offset(bench) == 899)

    assert [event["seq"] for event in bench.events()] == list(range(1, 901))


def stored_offset(bench: Bench) -> int | None:
    position = bench.database["positions"].find_one({"_id": f"stream {bench.settings.reply_stream}"})
    return position and position["offset"]


def test_two_consumers_take_over_from_each_other_without_loss_or_repeat(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer, random_moments: random.Random
) -> None:
    load = Load(bench, stream(jobs=200, steps=8), with_ids=False, rate_per_s=500)
    consumers = [consumer_process(settings), consumer_process(settings)]
    for consumer in consumers:
        consumer.start()
    turn = 0
    while load.running:
        time.sleep(random_moments.uniform(0.2, 1.2))  # the moment itself is what is tested
        consumer = consumers[turn % 2]
        if random_moments.random() < 0.5:
            consumer.kill()
        else:
            assert consumer.terminate() == 0
        consumer.start()
        turn += 1
    wait_until_stored(bench, load)

    assert_whole(bench, load)


@pytest.fixture
def mongod_bench(own_mongod: Mongod, settings: Settings) -> Iterator[Bench]:
    """A bench on a database of the test's own."""
    with closing(Bench(settings.model_copy(update={"mongo_url": SecretStr(own_mongod.url)}))) as bench:
        yield bench


@pytest.fixture
def rabbitmq_bench(own_rabbitmq: RabbitMq, settings: Settings) -> Iterator[Bench]:
    """A bench on a broker of the test's own."""
    with closing(Bench(settings.model_copy(update={"amqp_url": SecretStr(own_rabbitmq.url)}))) as bench:
        yield bench


def test_the_database_frozen_and_then_killed_under_load_loses_and_doubles_nothing(
    own_mongod: Mongod, mongod_bench: Bench, consumer_process: MakeConsumer
) -> None:
    load = Load(mongod_bench, stream(jobs=300, steps=8), with_ids=False, rate_per_s=300)
    consumer = consumer_process(mongod_bench.settings)
    consumer.start()
    events = mongod_bench.database["extractions"]
    eventually(lambda: events.count_documents({}) > 100)
    os.kill(own_mongod.pid, signal.SIGSTOP)
    time.sleep(2)  # frozen under load: that is the test
    own_mongod.kill()
    time.sleep(1)  # away under load
    own_mongod.start()
    wait_until_stored(mongod_bench, load)
    assert consumer.terminate() == 0

    assert_whole(mongod_bench, load)


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_the_broker_restarted_under_load_loses_and_doubles_nothing(
    own_rabbitmq: RabbitMq, rabbitmq_bench: Bench, consumer_process: MakeConsumer, how: str
) -> None:
    updates = stream(jobs=600, steps=8)
    first, second = updates[: len(updates) // 2], updates[len(updates) // 2 :]
    rabbitmq_bench.publish(*(body for body, _words in first))
    consumer = consumer_process(rabbitmq_bench.settings.model_copy(update={"batch_max_count": 20}))
    events = rabbitmq_bench.database["extractions"]
    consumer.start()
    eventually(lambda: events.count_documents({}) > 200)
    rabbitmq_bench.disconnect()
    getattr(own_rabbitmq, how)()
    own_rabbitmq.start()
    rabbitmq_bench.await_stream()
    rabbitmq_bench.publish(*(body for body, _words in second))
    eventually(lambda: events.count_documents({}) >= len(updates), 60)
    assert consumer.terminate() == 0

    assert rabbitmq_bench.messages() == [words for _body, words in updates]
    assert asyncio.run(differences(rabbitmq_bench.settings)) == []
    assert rabbitmq_bench.dead_letters() == []


def test_a_stopped_consumer_has_stored_up_to_its_position(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer
) -> None:
    updates = stream(jobs=50, steps=8)
    bench.publish(*(body for body, _words in updates))
    consumer = consumer_process(settings)
    consumer.start()
    eventually(lambda: bench.database["extractions"].count_documents({}) > 0)
    assert consumer.terminate() == 0

    offset = stored_offset(bench)
    assert offset is not None
    assert bench.messages() == [words for _body, words in updates][: offset + 1]


def test_a_consumer_whose_stream_is_deleted_declares_it_again_and_goes_on(
    bench: Bench, settings: Settings, consumer_process: MakeConsumer
) -> None:
    events = bench.database["extractions"]
    bench.publish(update("j", "start", "the same"), update("j", "start", "the same"))
    consumer = consumer_process(settings)
    consumer.start()
    eventually(lambda: events.count_documents({}) == 2)
    bench.channel.queue_delete(settings.reply_stream)
    eventually(lambda: queue_exists(bench))
    bench.publish(update("j", "start", "the same"))
    eventually(lambda: events.count_documents({}) == 3)

    assert [event["seq"] for event in bench.events()] == [1, 2, 3]
    (incident,) = bench.database["incidents"].find()
    assert (incident["kind"], incident["stream"], incident["epoch"]) == ("recreated", settings.reply_stream, 2)


def queue_exists(bench: Bench) -> bool:
    bench.disconnect()
    with pika.BlockingConnection(pika.URLParameters(bench.settings.require_amqp_url())) as connection:
        try:
            connection.channel().queue_declare(bench.settings.reply_stream, passive=True)
        except pika.exceptions.ChannelClosedByBroker:
            return False
        return True

"""Killing whoever captures, the broker or the database at any moment loses no letter, and marks what it doubles."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import pika
import pytest

from jobtrail.models.settings import Settings
from jobtrail.stack.private_stack import PrivateStack
from tests.deadletters.conftest import LetterBench, MakeProcess, own_settings, packed, publish_all
from tests.support import Names, eventually


class Load:
    """Publishes messages in the background, all confirmed: every other one has an id, the others are alike by three."""

    def __init__(self, settings: Settings, queue: str, count: int, pause_s: float) -> None:
        self.bodies = [f"letter {number - number % 6 if number % 2 else number}".encode() for number in range(count)]
        self._settings = settings
        self._queue = queue
        self._pause_s = pause_s
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        self._thread.join(120)
        assert not self.running

    def _run(self) -> None:
        with pika.BlockingConnection(pika.URLParameters(self._settings.require_amqp_url())) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            for number, body in enumerate(self.bodies):
                named = None if number % 2 else f"message {number}"
                properties = pika.BasicProperties(delivery_mode=2, message_id=named)
                channel.basic_publish("", self._queue, body, properties)
                time.sleep(self._pause_s)


def assert_whole(bench: LetterBench, published: Sequence[bytes]) -> None:
    """Whatever was published is there; what is there beyond that has no id, and is marked."""
    wanted = Counter(published)
    eventually(lambda: Counter(bytes(letter["body"]) for letter in bench.letters()) >= wanted)
    letters = sorted(bench.letters(), key=lambda letter: letter["seq"])
    assert Counter(bytes(letter["body"]) for letter in letters if "maybe_repeated" not in letter) <= wanted
    named = [int(letter["message_id"].split()[1]) for letter in letters if "message_id" in letter]
    assert len(set(named)) == len(named)
    assert all("maybe_repeated" not in letter for letter in letters if "message_id" in letter)
    assert len({letter["seq"] for letter in letters}) == len(letters)
    assert sum(group["counts"]["open"] for group in bench.groups()) == len(letters)


def test_whoever_captures_is_killed_at_random_moments_under_load(
    settings: Settings, names: Names, bench: LetterBench, letters_process: MakeProcess, random_moments: random.Random
) -> None:
    queue = names.queue("theirs")
    bench.channel.queue_declare(queue, durable=True)
    settings = settings.model_copy(update={"capture_queues": queue})
    load = Load(settings, queue, count=1500, pause_s=0.002)
    process = letters_process(settings)
    process.start()
    kills = 0
    while load.running or kills < 3:
        time.sleep(random_moments.uniform(0.05, 1.2))  # the moment itself is what is tested
        process.kill()
        process.start()
        kills += 1
    load.wait()

    assert_whole(bench, load.bodies)


def test_of_two_that_capture_one_is_a_spare_and_takes_over(
    settings: Settings, names: Names, bench: LetterBench, letters_process: MakeProcess
) -> None:
    queue = names.queue("theirs")
    bench.channel.queue_declare(queue, durable=True)
    settings = settings.model_copy(update={"capture_queues": queue})
    load = Load(settings, queue, count=1000, pause_s=0.004)
    first, second = letters_process(settings), letters_process(settings)
    first.start()
    eventually(lambda: consumers(bench, queue) == 1)
    second.start()
    eventually(lambda: bench.database["dead_letters"].count_documents({}) > 100)
    assert consumers(bench, queue) == 1
    first.kill()
    eventually(lambda: consumers(bench, queue) == 1)
    load.wait()

    assert_whole(bench, load.bodies)


def consumers(bench: LetterBench, queue: str) -> int:
    return int(bench.channel.queue_declare(queue, passive=True).method.consumer_count)


@pytest.fixture
def own_bench(own_stack: PrivateStack, settings: Settings) -> Iterator[LetterBench]:
    """A bench on services of the test's own."""
    bench = LetterBench(own_settings(settings, own_stack.urls))
    yield bench
    bench.close()


async def test_the_database_frozen_and_killed_and_the_broker_stopped_in_the_middle(
    own_bench: LetterBench, own_stack: PrivateStack, letters_process: MakeProcess
) -> None:
    settings = own_bench.settings
    _ = own_bench.channel
    letters = own_bench.database["dead_letters"]
    bodies = [b"%d" % (number // 2) for number in range(3000)]

    async def publish(count: int) -> None:
        some, bodies[:count] = bodies[:count], []
        published.extend(some)
        await publish_all(settings, settings.dead_letter_queue, [(packed(delivery_mode=2), body) for body in some])

    published: list[bytes] = []
    process = letters_process(settings)
    process.start()
    await publish(1000)
    eventually(lambda: letters.count_documents({}) > 0)
    os.kill(own_stack.mongod.pid, signal.SIGSTOP)
    await publish(1000)
    own_stack.mongod.kill()
    own_stack.mongod.start()
    eventually(lambda: letters.count_documents({}) > 1000)
    own_bench.disconnect()
    own_stack.rabbitmq.stop()
    own_stack.rabbitmq.start()
    await publish(1000)

    assert_whole(own_bench, published)

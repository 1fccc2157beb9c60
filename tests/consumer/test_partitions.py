"""Updates that are spread over several streams: processes share them, and a job's order holds."""

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence

import pika
import pytest

from jobtrail.models.settings import Settings
from tests.consumer.conftest import Bench, ConsumerProcess, consuming
from tests.consumer.test_consumer_crashes import differences
from tests.consumer.updates import update
from tests.support import Names, eventually, eventually_async

MakeConsumer = Callable[[Settings], ConsumerProcess]


@pytest.fixture
def parted(settings: Settings, names: Names) -> Iterator[Settings]:
    """Settings with four streams."""
    parted = settings.model_copy(update={"reply_partitions": 4})
    for stream in parted.reply_streams:
        names.queues.append(stream)
    yield parted


class Jobs:
    """Jobs that go on step by step, each in the stream that its sender's settings name."""

    def __init__(self, bench: Bench, count: int) -> None:
        self._bench = bench
        self._steps = {f"job-{number}": 0 for number in range(count)}

    def step(self, settings: Settings) -> None:
        """Let every job say its next word."""
        for job, step in self._steps.items():
            body = update(job, "processing", f"{step}")
            self._bench.channel.basic_publish("", settings.reply_to(job), body, pika.BasicProperties(delivery_mode=2))
            self._steps[job] = step + 1

    def assert_whole(self) -> None:
        """Everything is stored, in the order of each job."""
        events = self._bench.database["extractions"]
        eventually(lambda: events.count_documents({}) >= sum(self._steps.values()))
        by_job: dict[str, list[str]] = {}
        for event in events.find().sort([("job_id", 1), ("position", 1)]):
            by_job.setdefault(event["job_id"], []).append(event["message"])
        wanted = {job: [f"{step}" for step in range(steps)] for job, steps in self._steps.items()}
        wrong = {job: " ".join(words) for job, words in by_job.items() if words != wanted[job]}
        assert wrong == {}
        assert by_job.keys() == wanted.keys()
        assert asyncio.run(differences(self._bench.settings)) == []


def owners(bench: Bench, streams: Sequence[str]) -> dict[str, int]:
    """The process that owns each stream."""
    leases = bench.database["leases"].find({"_id": {"$in": [f"stream {stream}" for stream in streams]}})
    return {lease["_id"]: lease["process"]["pid"] for lease in leases if lease.get("holder")}


async def test_each_job_is_stored_from_its_own_stream(bench: Bench, parted: Settings) -> None:
    bench.settings = parted
    jobs = [f"job-{number}" for number in range(40)]
    async with consuming(parted):
        await eventually_async(lambda: asyncio.to_thread(lambda: len(owners(bench, parted.reply_streams)) == 4))
        for job in jobs:
            bench.channel.basic_publish("", parted.reply_to(job), update(job, "start", job))
        await eventually_async(lambda: asyncio.to_thread(lambda: len(bench.events()) == 40))

    assert {event["job_id"]: event["queue"] for event in bench.events()} == {job: parted.reply_to(job) for job in jobs}


def test_processes_share_the_streams_evenly_and_take_over_from_one_that_is_killed(
    bench: Bench, parted: Settings, consumer_process: MakeConsumer
) -> None:
    bench.settings = parted
    jobs = Jobs(bench, 40)
    consumers = [consumer_process(parted), consumer_process(parted)]
    for consumer in consumers:
        consumer.start()
    eventually(lambda: shares(bench, parted) == [2, 2])
    jobs.step(parted)
    consumers[0].kill()
    begun = time.monotonic()
    jobs.step(parted)
    eventually(lambda: shares(bench, parted) == [4], 30)
    assert time.monotonic() - begun < 20
    jobs.step(parted)
    consumers[0].start()
    eventually(lambda: shares(bench, parted) == [2, 2], 30)
    jobs.step(parted)

    jobs.assert_whole()


def shares(bench: Bench, settings: Settings) -> list[int]:
    """How many streams each owner has."""
    pids = sorted(owners(bench, settings.reply_streams).values())
    return [len(list(group)) for _pid, group in itertools.groupby(pids)]


def test_the_order_of_each_job_holds_while_consumers_are_killed_under_load(
    bench: Bench, parted: Settings, consumer_process: MakeConsumer
) -> None:
    bench.settings = parted
    assert bench.channel
    jobs = Jobs(bench, 40)
    consumers = [consumer_process(parted), consumer_process(parted)]
    for consumer in consumers:
        consumer.start()
    moments = random.Random(3)
    for _round in range(8):
        for _step in range(5):
            jobs.step(parted)
        consumer = moments.choice(consumers)
        consumer.kill()
        consumer.start()

    jobs.assert_whole()


def test_the_order_of_each_job_holds_when_the_number_of_partitions_changes_under_load(
    bench: Bench, settings: Settings, parted: Settings, consumer_process: MakeConsumer
) -> None:
    two = settings.model_copy(update={"reply_partitions": 2})
    jobs = Jobs(bench, 30)
    before, consumer = settings, None
    for now in (settings, parted, two, settings):
        bench.settings = now
        bench.disconnect()
        assert bench.channel
        jobs.step(before)
        if consumer is not None:
            assert consumer.terminate() == 0
        consumer = consumer_process(now)
        consumer.start()
        eventually(lambda now=now: len(owners(bench, now.reply_streams)) == len(now.reply_streams))
        for senders in (before, now):  # the consumers know first
            for _step in range(6):
                jobs.step(senders)
        before = now

    jobs.assert_whole()
    for stream in two.reply_streams:
        bench.channel.queue_delete(stream)

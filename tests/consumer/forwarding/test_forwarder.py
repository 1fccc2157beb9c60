"""Updates are copied to a queue of somebody else's: none is missing there, and a repetition can be recognised."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pika
import pytest
from pydantic import SecretStr, ValidationError

import jobtrail.consumer.forwarding.copies as copies_module
from jobtrail.broker.poison import MAX_PROPERTIES_BYTES
from jobtrail.broker.properties import encode
from jobtrail.consumer.forwarding.copies import copy_id
from jobtrail.consumer.forwarding.service import run_forwarder
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import FORMER_REPLY_QUEUE, Settings
from jobtrail.stack.rabbitmq import RabbitMq
from jobtrail.store.database import Database
from jobtrail.store.log.layout import LayoutRepository
from tests.consumer.conftest import Bench
from tests.consumer.updates import update
from tests.support import (
    WAIT_S,
    Names,
    ServiceProcess,
    eventually,
    eventually_async,
    eventually_holds,
    eventually_holds_async,
)

SMALL_STREAM = {"x-queue-type": "stream", "x-max-length-bytes": 40_000, "x-stream-max-segment-size-bytes": 20_000}
NO_MEMORY = "0.00001"


@dataclass(frozen=True)
class Copy:
    """One message as somebody takes it from the target."""

    body: bytes
    properties: pika.BasicProperties

    @property
    def message_id(self) -> str:
        return self.properties.message_id

    @property
    def number(self) -> int:
        """The number of the update that it is a copy of, as `numbered` made it."""
        return int(self.body.rpartition(b'"update ')[2].partition(b'"')[0])


class Target:
    """The queue that updates are copied to."""

    def __init__(self, bench: Bench, queue: str) -> None:
        self.bench = bench
        self.queue = queue
        self.copies: list[Copy] = []

    def make(self, **arguments: object) -> None:
        self.bench.channel.queue_declare(self.queue, durable=True, arguments=arguments)

    def take(self) -> list[Copy]:
        """Take what waits there; return all that was ever taken."""
        channel = self.bench.channel
        while True:
            method, properties, body = channel.basic_get(self.queue, auto_ack=True)
            if method is None:
                return self.copies
            self.copies.append(Copy(body, properties))

    async def has(self, *numbers: int) -> None:
        """Wait until just these updates were copied, in this order."""

        def arrived() -> None:
            assert [copy.number for copy in self.take()] == list(numbers)

        await eventually_holds_async(lambda: asyncio.to_thread(arrived))


@pytest.fixture
def settings(settings: Settings, names: Names) -> Settings:
    """Settings with a target of this test's own."""
    return settings.model_copy(update={"forward_to": names.queue("target"), "forwarder_health_port": 0})


@pytest.fixture
def target(bench: Bench, settings: Settings) -> Target:
    """The target, not made yet; the stream is."""
    assert bench.channel
    assert settings.forward_to
    return Target(bench, settings.forward_to)


@asynccontextmanager
async def forwarding(settings: Settings) -> AsyncIterator[str]:
    """Run a forwarder in this event loop; yields the address of its pages. It is stopped gracefully at the end."""
    stop = asyncio.Event()
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_forwarder(settings, stop, ready.set_result))
    try:
        await asyncio.wait((task, ready), timeout=WAIT_S, return_when=asyncio.FIRST_COMPLETED)
        yield f"http://127.0.0.1:{ready.result()}"
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


class ForwarderProcess(ServiceProcess):
    """A forwarder in a process of its own."""

    def __init__(self, settings: Settings, ready: Path) -> None:
        super().__init__(
            "tests.consumer.forwarding.process",
            settings,
            ready,
            JOBTRAIL_REPLY_PARTITIONS=str(settings.reply_partitions),
            JOBTRAIL_BATCH_MAX_COUNT=str(settings.batch_max_count),
            JOBTRAIL_FORWARD_TO=str(settings.forward_to),
            JOBTRAIL_FORWARDER_HEALTH_PORT="0",
        )


@pytest.fixture
def forwarder_process(tmp_path: Path) -> Iterator[Callable[[Settings], ForwarderProcess]]:
    """Make forwarder processes; none outlives the test."""
    made: list[ForwarderProcess] = []

    def make(settings: Settings) -> ForwarderProcess:
        made.append(ForwarderProcess(settings, tmp_path / f"ready-{len(made)}"))
        return made[-1]

    yield make
    for process in made:
        process.end()


def numbered(*numbers: int, extractor: str = "ncsa.wordcount") -> list[bytes]:
    return [update("j", "processing", f"update {number}", extractor_id=extractor) for number in numbers]


def publish(bench: Bench, *numbers: int, **properties: Any) -> None:
    bench.publish(*numbered(*numbers), **properties)


def make_anew(bench: Bench, *numbers: int) -> None:
    """Delete the stream and fill a new one of the same name."""
    bench.channel.queue_delete(bench.settings.reply_stream)
    bench.disconnect()
    publish(bench, *numbers)


def offset_of(copy: Copy) -> int:
    return int(copy.message_id.rpartition("/")[2])


def incidents(bench: Bench) -> list[dict[str, Any]]:
    return list(bench.database["incidents"].find().sort("at", 1))


async def health(pages: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{pages}/health")
    told: dict[str, Any] = answer.json()
    assert told["ok"] is (answer.status_code == 200)
    return told


async def metric(pages: str, name: str) -> float:
    """The sum of a metric over its labels."""
    async with httpx.AsyncClient() as client:
        lines = (await client.get(f"{pages}/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"{name}{{"))


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_all_updates_are_copied_in_order_and_tell_where_they_are_from(
    bench: Bench, target: Target, settings: Settings, kind: str
) -> None:
    target.make(**{"x-queue-type": kind})
    publish(bench, *range(1200))
    async with forwarding(settings) as pages:
        await target.has(*range(1200))
        await asyncio.to_thread(publish, bench, 1200)
        await target.has(*range(1201))
        told = await health(pages)
        assert (told["state"], told["to"]) == ("forwarding", target.queue)

        async def all_is_counted() -> bool:
            return await metric(pages, "jobtrail_forwarder_offset") == 1200

        await eventually_async(all_is_counted)
        assert await metric(pages, "jobtrail_forwarder_copied_total") == 1201

    assert [copy.message_id for copy in target.copies] == [
        f"{settings.reply_stream}/{offset}" for offset in range(1201)
    ]
    assert [copy.body for copy in target.copies] == numbered(*range(1201))
    assert incidents(bench) == []


async def test_a_copy_has_the_properties_of_its_original_but_for_those_that_name_or_route_it(
    bench: Bench, target: Target, settings: Settings, names: Names, amqp_url: str
) -> None:
    target.make()
    elsewhere = names.queue("elsewhere")
    bench.channel.queue_declare(elsewhere, durable=True)
    user = pika.URLParameters(amqp_url).credentials.username
    kept = {"correlation_id": "c", "content_type": "application/json", "priority": 3, "type": "t", "timestamp": 7}
    bridged = {"jobtrail-bridge-queue": "q", "jobtrail-bridge-term": 3, "jobtrail-bridge-redelivered": True}
    publish(
        bench,
        1,
        **kept,
        message_id="its own",
        expiration="600000",
        user_id=user,
        headers={"shade": "blue", "number": 7, "CC": [elsewhere], **bridged},
    )
    async with forwarding(settings):
        await target.has(1)

    properties = target.copies[0].properties
    assert {name: getattr(properties, name) for name in kept} == kept
    assert properties.headers == {"shade": "blue", "number": 7}
    assert properties.message_id == f"{settings.reply_stream}/0"
    assert (properties.delivery_mode, properties.expiration, properties.user_id) == (2, None, None)
    assert bench.channel.queue_declare(elsewhere, passive=True).method.message_count == 1  # the original's


async def test_a_forwarder_that_is_stopped_and_started_goes_on_and_another_one_has_its_own_position(
    bench: Bench, target: Target, settings: Settings, names: Names
) -> None:
    target.make()
    publish(bench, 0, 1, 2)
    async with forwarding(settings):
        await target.has(0, 1, 2)
    await asyncio.to_thread(publish, bench, 3, 4)
    async with forwarding(settings):
        await target.has(0, 1, 2, 3, 4)

    other = Target(bench, names.queue("other"))
    other.make()
    async with forwarding(settings.model_copy(update={"forward_to": other.queue, "forward_name": "other"})):
        await other.has(0, 1, 2, 3, 4)
    assert [copy.message_id for copy in other.copies] == [copy.message_id for copy in target.copies]


async def test_only_the_updates_of_the_named_extractors_are_copied(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make()
    unreadable = [b"", b"no JSON", b"[1]", b'{"extractor_id": ["a"]}', b'{"extractor_id": null}']
    bench.publish(*unreadable, *numbered(1, extractor="a"), *numbered(2, extractor="b"), *numbered(3, extractor="ab"))
    late = b'{"extractor_id": "b", "message": "update 4", "start": "no time"}'
    bench.publish(late, *numbered(5, extractor="c"))
    async with forwarding(settings.model_copy(update={"forward_extractors": "b, a"})) as pages:
        await target.has(1, 2, 4)
        await eventually_async(lambda: is_at(pages, 9))
        assert await metric(pages, "jobtrail_forwarder_skipped_total") == 7

    assert [copy.message_id.rpartition("/")[2] for copy in target.copies] == ["5", "6", "8"]


async def is_at(pages: str, offset: int) -> bool:
    return await metric(pages, "jobtrail_forwarder_offset") == offset


async def test_without_a_filter_everything_is_copied_whatever_it_is(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make()
    bodies = [b"", b"no JSON", b"\xff\xfe", b"x" * 5_000_000, *numbered(1)]
    bench.publish(*bodies)
    async with forwarding(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: len(target.take()) == len(bodies)))

    assert [copy.body for copy in target.copies] == bodies


async def test_a_target_that_is_missing_is_waited_for_and_not_made(
    bench: Bench, target: Target, settings: Settings
) -> None:
    publish(bench, 1, 2)
    async with forwarding(settings) as pages:

        async def is_missing() -> None:
            assert (await health(pages))["state"] == "missing"

        await eventually_holds_async(is_missing)
        assert target.queue in (await health(pages))["error"]
        with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
            bench.channel.queue_declare(target.queue, passive=True)
        bench.disconnect()
        await asyncio.to_thread(target.make)
        await target.has(1, 2)
        await asyncio.to_thread(bench.channel.queue_delete, target.queue)
        await asyncio.to_thread(publish, bench, 3)
        await eventually_holds_async(is_missing)
        await asyncio.to_thread(target.make)
        await target.has(1, 2, 3)


async def test_a_full_target_is_waited_for_and_gets_nothing_twice(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make(**{"x-max-length": 10, "x-overflow": "reject-publish"})
    publish(bench, *range(60))
    async with forwarding(settings) as pages:

        async def is_refused() -> None:
            assert (await health(pages))["state"] == "refused"

        await eventually_holds_async(is_refused)
        await eventually_async(lambda: asyncio.to_thread(lambda: len(target.take()) >= 60))
        await eventually_async(lambda: is_at(pages, 59))

    assert sorted(copy.number for copy in target.take()) == list(range(60))


async def test_properties_that_no_longer_fit_are_left_out_and_stop_nothing(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make()
    overhead = len(encode(pika.BasicProperties(delivery_mode=2, headers={"h": ""})))
    publish(bench, 1, headers={"h": "x" * (MAX_PROPERTIES_BYTES - overhead - 10)})
    publish(bench, 2, headers={"h": "x"})
    async with forwarding(settings):
        await target.has(1, 2)

    assert [copy.properties.headers for copy in target.copies] == [None, {"h": "x"}]
    assert [copy.message_id for copy in target.copies] == [f"{settings.reply_stream}/{offset}" for offset in (0, 1)]


async def test_a_message_over_which_the_broker_ends_the_connection_goes_without_its_properties(
    bench: Bench, target: Target, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.make()
    publish(bench, *range(20), headers={"h": "x"})
    change = copies_module.changed

    def spoiled(raw: bytes, **changes: Any) -> bytes:
        """As if something that the broker does not take had gone unnoticed: a user who is not we."""
        forged = changes | {"user_id": "somebody else"} if changes["message_id"].endswith("/13") else changes
        return change(raw, **forged)

    def plain(message_id: str) -> bytes:
        return change(b"\0\0", message_id=message_id, delivery_mode=2)

    monkeypatch.setattr("jobtrail.consumer.forwarding.copies.changed", spoiled)
    monkeypatch.setattr("jobtrail.consumer.forwarding.target.plain_properties", plain)
    async with forwarding(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: target.take() and target.copies[-1].number == 19))

    assert_whole(target, settings, list(range(20)))
    assert {copy.number for copy in target.copies if copy.properties.headers is None} == {13}


def assert_whole(target: Target, settings: Settings, numbers: Sequence[int]) -> None:
    """None is missing, all are in order of their first copies, and repetitions have the same message id."""
    first: dict[str, Copy] = {}
    for copy in target.take():
        assert first.setdefault(copy.message_id, copy).body == copy.body
    assert [copy.number for copy in first.values()] == list(numbers)
    assert list(first) == [f"{settings.reply_stream}/{offset}" for offset in range(len(numbers))]


@pytest.fixture
def random_moments() -> random.Random:
    """A generator whose seed is shown when a test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of the random moments: {seed}")  # pytest shows it with a failure
    return random.Random(seed)


def test_a_forwarder_killed_at_random_moments_under_load_leaves_nothing_out(
    bench: Bench,
    target: Target,
    settings: Settings,
    forwarder_process: Callable[[Settings], ForwarderProcess],
    random_moments: random.Random,
) -> None:
    target.make(**{"x-queue-type": "quorum"})
    total = 6000
    loading = Bench(settings)
    load = threading.Thread(target=lambda: [(publish(loading, n), time.sleep(0.0015)) for n in range(total)])
    load.start()
    forwarder = forwarder_process(settings.model_copy(update={"batch_max_count": 50}))
    forwarder.start()
    kills = 0
    while load.is_alive() or kills < 6:
        time.sleep(random_moments.uniform(0.8, 2.2))  # the moment itself is what is tested
        forwarder.kill()
        forwarder.start()
        kills += 1
    load.join()
    loading.close()
    eventually(lambda: any(copy.number == total - 1 for copy in target.take()[-1:]))
    forwarder.end()

    assert_whole(target, settings, range(total))
    print(f"{kills} kills, {len(target.copies) - total} copied twice")


def test_two_processes_share_the_streams_and_one_takes_over_from_the_other(
    bench: Bench,
    settings: Settings,
    names: Names,
    forwarder_process: Callable[[Settings], ForwarderProcess],
) -> None:
    two = settings.model_copy(update={"reply_partitions": 2})
    streams = [names.queue("updates.0"), names.queue("updates.1")]
    assert streams == two.reply_streams
    two_bench = Bench(two)
    target = Target(two_bench, settings.forward_to or "")
    target.make()

    def send(*numbers: int) -> None:
        for number in numbers:
            body = numbered(number)[0]
            two_bench.channel.basic_publish("", streams[number % 2], body, pika.BasicProperties(delivery_mode=2))

    def holders() -> set[str]:
        leases = two_bench.database["leases"].find({"_id": {"$in": [f"forward forward {each}" for each in streams]}})
        return {lease["holder"].rpartition(":")[0] for lease in leases if lease.get("holder")}

    def arrived(count: int) -> None:
        assert {copy.number for copy in target.take()} == set(range(count))

    send(*range(100))
    processes = [forwarder_process(two), forwarder_process(two)]
    for process in processes:
        process.start()
    eventually_holds(lambda: arrived(100))
    eventually(lambda: len(holders()) == 2)
    processes[0].kill()
    send(*range(100, 200))
    eventually_holds(lambda: arrived(200))
    eventually(lambda: len(holders()) == 1)

    ids = {copy.message_id for copy in target.copies}
    assert ids == {f"{stream}/{offset}" for stream in streams for offset in range(100)}
    for parity in (0, 1):
        numbers = [copy.number for copy in target.copies if copy.number % 2 == parity]
        assert sorted(set(numbers), key=numbers.index) == list(range(parity, 200, 2))
    two_bench.close()


@pytest.mark.parametrize(
    ("before", "after"),
    [(3, range(10, 12)), (3, range(10, 13)), (100, range(200, 205)), (100, range(200, 350))],
    ids=["shorter", "as long", "much shorter", "longer"],
)
async def test_a_stream_that_was_made_anew_is_copied_from_its_begin_under_other_message_ids(
    bench: Bench, target: Target, settings: Settings, before: int, after: range
) -> None:
    target.make()
    publish(bench, *range(before))
    async with forwarding(settings):
        await target.has(*range(before))
    await asyncio.to_thread(make_anew, bench, *after)
    async with forwarding(settings):
        await target.has(*range(before), *after)

    ids = [copy.message_id for copy in target.copies]
    assert ids[before:] == [f"{settings.reply_stream}~2/{offset}" for offset in range(len(after))]
    (incident,) = incidents(bench)
    assert (incident["kind"], incident["reader"], incident["epoch"]) == ("recreated", "forward forward", 2)


async def test_a_stream_that_vanishes_is_waited_for_and_its_epoch_ends_at_once(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make()
    publish(bench, 0)
    async with forwarding(settings) as pages:
        await target.has(0)
        await asyncio.to_thread(bench.channel.queue_delete, settings.reply_stream)
        await eventually_async(lambda: asyncio.to_thread(lambda: incidents(bench)))
        assert await metric(pages, "jobtrail_forwarder_incidents_total") == 1
        bench.disconnect()
        await asyncio.to_thread(publish, bench, 0)  # equal bytes at the same offset
        await target.has(0, 0)

    assert [copy.message_id for copy in target.copies] == [f"{settings.reply_stream}/0", f"{settings.reply_stream}~2/0"]
    assert [incident["kind"] for incident in incidents(bench)] == ["recreated"]


@pytest.mark.parametrize("kept", [99, 75])
async def test_a_stream_that_lost_its_end_is_copied_on_behind_what_it_kept(
    bench: Bench, target: Target, settings: Settings, kept: int
) -> None:
    target.make()
    publish(bench, *range(100))
    async with forwarding(settings):
        await target.has(*range(100))
    await asyncio.to_thread(make_anew, bench, *range(kept), *range(200, 240))
    async with forwarding(settings):
        await target.has(*range(100), *range(200, 240))

    assert target.copies[100].message_id == f"{settings.reply_stream}~2/{kept}"
    assert [incident["kind"] for incident in incidents(bench)] == ["cut"]


async def test_what_can_not_be_known_to_be_the_same_is_copied_again(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make()
    publish(bench, *range(100))
    async with forwarding(settings):
        await target.has(*range(100))
    await asyncio.to_thread(make_anew, bench, *range(10), 200)  # shorter than what is remembered
    async with forwarding(settings):
        await target.has(*range(100), *range(10), 200)

    assert len({copy.message_id for copy in target.copies}) == 111


async def test_retention_that_overtakes_a_forwarder_is_told_but_a_new_one_has_missed_nothing(
    bench: Bench, target: Target, settings: Settings, names: Names
) -> None:
    target.make()
    bench.channel.queue_delete(settings.reply_stream)
    bench.channel.queue_declare(settings.reply_stream, durable=True, arguments=SMALL_STREAM)
    publish(bench, *range(20))
    async with forwarding(settings):
        await target.has(*range(20))
    await asyncio.to_thread(publish, bench, *range(20, 1000))
    async with forwarding(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: target.take()[-1].number == 999))

    (incident,) = incidents(bench)
    left = [copy.number for copy in target.copies[20:]]
    assert left == list(range(left[0], 1000))
    assert (incident["kind"], incident["reader"]) == ("overtaken", "forward forward")
    assert incident["from_offset"] == 20
    assert offset_of(target.copies[20]) - incident["to_offset"] in (1, 2)  # one may be the broker's own
    assert incident["missing"] >= left[0] - 20 > 0
    assert "were copied by forward forward" in incident["detail"]

    new = Target(bench, names.queue("new"))
    new.make()
    async with forwarding(settings.model_copy(update={"forward_to": new.queue, "forward_name": "new"})):
        await eventually_async(lambda: asyncio.to_thread(lambda: new.take() and new.copies[-1].number == 999))
    assert [copy.number for copy in new.copies] == list(range(new.copies[0].number, 1000))
    assert len(incidents(bench)) == 1


async def test_a_forwarder_that_waited_for_a_first_update_is_told_what_it_missed_since(
    bench: Bench, target: Target, settings: Settings
) -> None:
    target.make()
    bench.channel.queue_delete(settings.reply_stream)
    bench.channel.queue_declare(settings.reply_stream, durable=True, arguments=SMALL_STREAM)
    async with forwarding(settings) as pages:

        async def is_forwarding() -> None:
            assert (await health(pages))["state"] == "forwarding"

        await eventually_holds_async(is_forwarding)
    await asyncio.to_thread(publish, bench, *range(1000))
    async with forwarding(settings):
        await eventually_async(lambda: asyncio.to_thread(lambda: target.take() and target.copies[-1].number == 999))

    (incident,) = incidents(bench)
    assert (incident["kind"], incident["from_offset"]) == ("overtaken", 0)
    assert offset_of(target.copies[0]) - incident["to_offset"] in (1, 2)
    assert incident["missing"] >= target.copies[0].number > 0


async def test_a_broker_short_of_memory_is_waited_for_and_nothing_is_copied_twice(
    own_rabbitmq: RabbitMq, settings: Settings
) -> None:
    own = settings.model_copy(update={"amqp_url": SecretStr(own_rabbitmq.url)})
    bench = Bench(own)
    target = Target(bench, own.forward_to or "")
    target.make()
    publish(bench, *range(3000))
    bench.disconnect()
    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", NO_MEMORY)
    async with forwarding(own) as pages:

        async def is_blocked() -> None:
            assert (await health(pages))["state"] == "blocked"

        await eventually_holds_async(is_blocked)
        await asyncio.sleep(8)  # it is blocked for a while: that is the test
        assert await metric(pages, "jobtrail_forwarder_reconnects_total") == 0
        await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.5")
        await target.has(*range(3000))
    bench.close()


def test_a_target_that_jobtrail_reads_itself_is_refused(settings: Settings) -> None:
    given = settings.model_dump()
    bridged = given | {"bridged_queues": "clowder.replies", "capture_queues": "error.q", "reply_partitions": 2}
    for queue in (
        f"{settings.reply_stream}.1",
        FORMER_REPLY_QUEUE,
        "clowder.replies",
        "error.q",
        settings.dead_letter_queue,
        settings.heartbeat_queue,
    ):
        with pytest.raises(ValidationError, match="JobTrail reads it itself"):
            Settings(**bridged | {"forward_to": queue})
    assert Settings(**bridged | {"forward_to": "clowder.extractions"}).forward_to == "clowder.extractions"


async def test_a_stream_of_a_former_layout_is_copied_too_and_is_no_target(
    bench: Bench, target: Target, settings: Settings, names: Names
) -> None:
    target.make()
    publish(bench, 1)
    now = settings.model_copy(update={"reply_stream": names.queue("now")})
    bench_now = Bench(now)
    publish(bench_now, 2)
    bench_now.close()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        for layout in (settings, now):
            await LayoutRepository(database).set(layout.reply_stream, layout.reply_partitions)
    async with forwarding(now):
        await eventually_async(lambda: asyncio.to_thread(lambda: {c.number for c in target.take()} == {1, 2}))

    with pytest.raises(SettingError, match="they come from it"):
        await run_forwarder(now.model_copy(update={"forward_to": settings.reply_stream}), asyncio.Event())
    with pytest.raises(SettingError, match="JOBTRAIL_FORWARD_TO"):
        await run_forwarder(now.model_copy(update={"forward_to": None}), asyncio.Event())


def test_a_message_id_fits_whatever_the_name_of_the_stream() -> None:
    assert copy_id("updates.3", 1, 7) == "updates.3/7"
    assert copy_id("updates.3", 2, 7) == "updates.3~2/7"
    ids = {copy_id("ü" * 120 + f".{partition}", 2**31, 2**63 - 1) for partition in range(256)}
    assert len(ids) == 256
    assert max(len(each.encode()) for each in ids) <= 255

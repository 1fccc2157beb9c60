"""Streams of updates resume wherever they were left: nothing left out, nothing twice."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager

import pytest

from jobtrail.store.database import Database
from jobtrail.store.feed import Touch, TrailFeed, Update
from jobtrail.web.live.hub import Hub
from jobtrail.web.live.replay_buffer import ReplayBuffer
from jobtrail.web.live.subscription import Subscription
from jobtrail.web.live.topics import ALL, JOB, RESOURCE, Topic, topic_of
from tests.support import WAIT_S, eventually_async
from tests.web.live.writer import Wish, Writer

BUFFERED = 20
JOBS, FILES = ("j/1", "j-2", None), ("f-1", "f 2")


class Reader:
    """A client that comes and goes, and remembers the last id as `EventSource` does."""

    def __init__(self, hub: Hub, topic: Topic, last_id: str | None = None) -> None:
        self._hub = hub
        self._topic = topic
        self.last_id = last_id
        self.messages: list[str] = []
        self.resets = 0

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Callable[[], "asyncio.Future[bool]"]]:
        """Connect; yields what reads the next chunk, and tells whether there was one."""
        with self._hub.listening(Subscription(self._hub, self._topic, self.last_id)) as subscription:

            async def read() -> bool:
                chunk = await subscription.take()
                for block in (chunk or b"").decode().split("\n\n"):
                    self._note(block)
                return chunk is not None

            yield read  # type: ignore[misc]

    async def read_until(self, count: int) -> None:
        """Connect and read until so many messages are known in all."""
        async with asyncio.timeout(WAIT_S), self.reading() as read:
            while len(self.messages) < count:
                assert await read()

    async def locate(self) -> None:
        async with asyncio.timeout(WAIT_S), self.reading() as read:
            while self.last_id is None:
                await read()

    def _note(self, block: str) -> None:
        fields = dict(line.partition(": ")[::2] for line in block.split("\n"))
        self.last_id = fields.get("id", self.last_id)
        self.resets += fields.get("event") == "reset"
        if fields.get("event") == "update":
            self.messages.append(json.loads(fields["data"])["event"]["message"])


class HeldFeed(TrailFeed):
    """A feed that is open, and lies behind until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.is_free = asyncio.Event()

    async def follow(self) -> AsyncGenerator[Update | Touch | None]:
        async with aclosing(super().follow()) as changes:
            yield await anext(changes)
            await self.is_free.wait()
            async for change in changes:
                yield change


@asynccontextmanager
async def running(
    database: Database, buffer: ReplayBuffer | None = None, *, feed: TrailFeed | None = None
) -> AsyncIterator[Hub]:
    hub = Hub(feed or TrailFeed(database), [], retry_max_wait_s=0.5, buffer=buffer or ReplayBuffer(BUFFERED))
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.run(stop))
        await Reader(hub, ALL).locate()
        yield hub
        stop.set()


@pytest.fixture
async def hub(database: Database) -> AsyncIterator[Hub]:
    async with running(database) as hub:
        yield hub


async def until_told(hub: Hub, count: int) -> None:
    """Wait until the hub has taken so many updates."""

    async def told() -> bool:
        return hub.buffer.end >= count

    await eventually_async(told)


async def test_it_resumes_within_the_buffer_before_it_and_at_the_present(hub: Hub, writer: Writer) -> None:
    reader = Reader(hub, ALL)
    await reader.locate()
    begin = reader.last_id
    ids = [begin]
    for number in range(3 * BUFFERED):
        await writer.say(str(number))
        await reader.read_until(number + 1)
        ids.append(reader.last_id)
    assert hub.buffer.first == 2 * BUFFERED

    for count, last_id in enumerate(ids[:-1]):
        again = Reader(hub, ALL, last_id)
        await again.read_until(3 * BUFFERED - count)
        assert again.messages == [str(number) for number in range(count, 3 * BUFFERED)]
        assert again.last_id == ids[-1]
        assert not again.resets
    await writer.say("news")
    present = Reader(hub, ALL, ids[-1])
    await present.read_until(1)
    assert present.messages == ["news"]


@pytest.mark.parametrize("seed", range(4))
async def test_whoever_comes_and_goes_at_random_hears_everything_once_and_in_order(
    database: Database, hub: Hub, writer: Writer, seed: int
) -> None:
    chance = random.Random(seed)
    told: list[tuple[str | None, str, str]] = []
    topics = {
        ALL: lambda wish: True,
        topic_of(JOB, "j/1"): lambda wish: wish[0] == "j/1",
        topic_of(RESOURCE, "f 2"): lambda wish: wish[1] == "f 2",
    }
    async with running(database, ReplayBuffer(3)) as other:  # another web process, whose buffer is shorter
        readers = [Reader(hub, topic) for topic in (*topics, ALL)]
        await asyncio.gather(*(reader.locate() for reader in readers))
        is_over = asyncio.Event()

        async def write() -> None:
            while len(told) < 200:
                wishes = [
                    (chance.choice(JOBS), chance.choice(FILES), f"{len(told) + n}")
                    for n in range(chance.choice((1, 1, 4, 30)))
                ]
                told.extend(wishes)
                await writer.store(*wishes)
                await asyncio.sleep(chance.uniform(0, 0.03))
            is_over.set()

        async def come_and_go(reader: Reader, wanted: Callable[[Wish], bool]) -> None:
            patience = 1.0
            while not is_over.is_set() or len(reader.messages) < sum(map(wanted, told)):
                reader._hub = chance.choice((hub, other))
                last_id = reader.last_id
                async with reader.reading() as read:
                    for _ in range(chance.randint(1, 4)):
                        try:
                            await asyncio.wait_for(read(), patience * chance.uniform(0.01, 0.3))
                        except TimeoutError:
                            break
                # On a busy machine what is read back takes longer, and who always goes before that never gets further.
                patience = 1.0 if reader.last_id != last_id else min(2 * patience, 64)
                await asyncio.sleep(chance.uniform(0, 0.1))

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            for reader in readers:
                tasks.create_task(come_and_go(reader, topics[reader._topic]))

    for reader in readers:
        assert reader.messages == [wish[2] for wish in told if topics[reader._topic](wish)]
        assert not reader.resets


async def test_one_that_comes_from_a_process_that_is_ahead_hears_nothing_twice(
    database: Database, hub: Hub, writer: Writer
) -> None:
    feed = HeldFeed(database)
    async with running(database, feed=feed) as behind:
        reader = Reader(hub, ALL)
        await reader.locate()
        await writer.say("1", "2")
        await reader.read_until(2)
        other = Reader(behind, ALL, reader.last_id)
        reading = asyncio.create_task(other.read_until(1))
        await asyncio.sleep(0)  # it comes before the hub has gone on
        feed.is_free.set()
        await writer.say("3")
        await reading
    assert (other.messages, other.resets) == (["3"], 0)


async def test_one_that_reads_slower_than_the_buffer_goes_on_is_dropped_and_may_come_back(
    hub: Hub, writer: Writer
) -> None:
    slow, quick = Reader(hub, ALL), Reader(hub, ALL)
    await slow.locate()
    await quick.locate()
    async with slow.reading() as read, asyncio.timeout(WAIT_S):
        await writer.say("0")
        while not slow.messages:
            assert await read()
        await writer.say(*map(str, range(1, BUFFERED + 1)))
        await until_told(hub, BUFFERED + 1)
        assert await read()  # so many fit into the buffer
        await writer.say(*map(str, range(BUFFERED + 1, 2 * BUFFERED + 2)))
        await until_told(hub, 2 * BUFFERED + 2)
        assert not await read()
    await asyncio.gather(slow.read_until(2 * BUFFERED + 2), quick.read_until(2 * BUFFERED + 2))
    assert slow.messages == quick.messages == [str(number) for number in range(2 * BUFFERED + 2)]
    assert slow.resets == quick.resets == 0


async def test_one_whose_topic_is_silent_is_not_slow_and_comes_back_with_a_young_id(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.web.live.subscription.KEEPALIVE_S", 0.05)
    reader = Reader(hub, topic_of(JOB, "mine"))
    await reader.locate()
    first_id = reader.last_id
    async with reader.reading() as read, asyncio.timeout(WAIT_S):
        await writer.say(*map(str, range(2 * BUFFERED)), job="another")
        await until_told(hub, 2 * BUFFERED)
        while reader.last_id == first_id:
            assert await read()
        assert hub.buffer.after(reader.last_id or "") is not None
        await writer.say("at last", job="mine")
        while not reader.messages:
            assert await read()
    assert reader.messages == ["at last"]


@pytest.mark.parametrize(
    "last_id", ["garbage", "82", "zz" * 20, "é", "9" * 5000, f"82{'F' * 16}0000"], ids=lambda each: each[:8]
)
async def test_an_id_that_nobody_told_is_answered_with_a_reset(hub: Hub, writer: Writer, last_id: str) -> None:
    reader = Reader(hub, ALL, last_id)
    async with reader.reading() as read, asyncio.timeout(WAIT_S):
        while not reader.resets:
            assert await read()
        assert reader.last_id == hub.position
        await writer.say("afterwards")
        while not reader.messages:
            assert await read()
    assert (reader.messages, reader.resets) == (["afterwards"], 1)


async def test_records_of_other_programs_are_passed_over(database: Database, hub: Hub, writer: Writer) -> None:
    early, late = Reader(hub, ALL), Reader(hub, ALL)
    await asyncio.gather(early.locate(), late.locate())
    await writer.say("1")
    stored = await database.extractions.find_one({}, {"_id": 0})
    assert stored is not None
    for wrong in ({"start": "yesterday"}, {"message": None}, {"job_id": 17}, {"state": "THINKING"}):
        await database.extractions.insert_one(stored | wrong)
    await writer.say("2")
    await early.read_until(2)
    await writer.say(*map(str, range(3, 2 * BUFFERED)))  # so that the buffer has gone on
    await until_told(hub, 2 * BUFFERED - 1)
    await asyncio.gather(early.read_until(2 * BUFFERED - 1), late.read_until(2 * BUFFERED - 1))
    assert early.messages == late.messages == [str(number) for number in range(1, 2 * BUFFERED)]


async def test_one_that_comes_before_the_hub_has_begun_is_served_when_it_has(
    database: Database, writer: Writer
) -> None:
    hub = Hub(TrailFeed(database), [], retry_max_wait_s=0.5)
    async with running(database) as earlier:
        old = Reader(earlier, ALL)
        await old.locate()
    await writer.say("meanwhile")
    new, old = Reader(hub, ALL), Reader(hub, ALL, old.last_id)
    waiting: Sequence[asyncio.Task[None]] = [asyncio.create_task(new.locate()), asyncio.create_task(old.read_until(1))]
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hub.run(stop))
        await asyncio.gather(*waiting)
        stop.set()
    assert (old.messages, new.messages) == (["meanwhile"], [])
    assert old.resets == new.resets == 0
    async with new.reading() as read:
        assert not await read()  # the hub has ended

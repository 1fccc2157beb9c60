"""What tests of dead letters need: a bench around a broker and a database, and the service in this event loop."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pika
import pytest
from pydantic import SecretStr

from jobtrail.broker.channel import Channel, Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.properties import decode, encode, without_offset
from jobtrail.broker.sender import BulkSender, Message
from jobtrail.consumer.service import run_consumer
from jobtrail.deadletters.reading import Found, caused, read_letter
from jobtrail.deadletters.replayer import Replayer
from jobtrail.deadletters.service import run_dead_letters
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterFilter
from jobtrail.models.dead_letters.replay import Replay
from jobtrail.models.settings import Settings
from jobtrail.models.topology import dead_letter_queue_arguments
from jobtrail.stack.state import StackUrls
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.replays import ReplayRepository
from tests.consumer.conftest import Bench
from tests.deadletters.acts import start_replay
from tests.support import WAIT_S, ServiceProcess, eventually, eventually_async, eventually_holds

Document = dict[str, Any]


@asynccontextmanager
async def running(settings: Settings, *, consumer: bool = True, letters: bool = True) -> AsyncIterator[None]:
    """Run a consumer and the service of dead letters in this event loop; they are stopped gracefully at the end."""
    stop = asyncio.Event()
    works = [(consumer, run_consumer), (letters, run_dead_letters)]
    tasks = [asyncio.create_task(work(settings, stop)) for wanted, work in works if wanted]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), WAIT_S)


async def replay_now(database: Database, settings: Settings, selection: LetterFilter, **asked: Any) -> Replay:
    """Ask for a replay, run it here, and return it at its end."""
    replay = await start_replay(database, selection, who="tester", origin="cli", **asked)
    replayer, replays = Replayer(settings, database, asyncio.Event()), ReplayRepository(database)

    async def at_its_end() -> Replay:
        # Where the service runs too, it may have taken the replay first.
        await replayer.run(replay.id)
        now = await replays.get(replay.id)
        assert now.state.is_end
        return now

    return await eventually_async(at_its_end)


def update_body(job_id: str | None, message: str = "working", **fields: Any) -> bytes:
    """A status update that can be processed, unless fields say otherwise."""
    body = {
        "file_id": "file-1",
        "extractor_id": "ncsa.test",
        "job_id": job_id,
        "status": f"PROCESSING: {message}",
        "start": "2026-11-22T00:14:36-00:00",
    }
    return json.dumps(body | fields).encode()


class LetterBench(Bench):
    """A bench that looks into dead letters too."""

    @property
    def channel(self) -> Any:
        """A channel with publisher confirms; the streams and the dead-letter queue are declared."""
        channel = super().channel
        channel.queue_declare(self.settings.dead_letter_queue, durable=True, arguments=dead_letter_queue_arguments())
        return channel

    def letters(self, **query: Any) -> list[Document]:
        """All letters, in the order of capture."""
        return list(self.database["dead_letters"].find(query).sort("_id", 1))

    def groups(self) -> list[Document]:
        """All groups."""
        return list(self.database["dead_letter_causes"].find())

    def states(self) -> dict[str, int]:
        """Letters by state, counted one by one."""
        states = [letter["state"] for letter in self.letters()]
        return {state: states.count(state) for state in sorted(set(states))}

    def wait_for_states(self, **wanted: int) -> None:
        """Wait until letters are in these states."""

        def as_wanted() -> None:
            assert self.states() == wanted

        eventually_holds(as_wanted)


@pytest.fixture
def bench(settings: Settings) -> Iterator[LetterBench]:
    """A bench on the shared services."""
    bench = LetterBench(settings)
    yield bench
    bench.close()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The trail's database, with its indexes."""
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        yield database


class LettersProcess(ServiceProcess):
    """The service of dead letters, or one replay, in a process of its own."""

    def __init__(self, settings: Settings, ready: Path, replay_id: str | None) -> None:
        super().__init__(
            "tests.deadletters.process",
            settings,
            ready,
            REPLAY_ID=replay_id or "",
            JOBTRAIL_HEARTBEAT_QUEUE=settings.heartbeat_queue,
            JOBTRAIL_CAPTURE_QUEUES=settings.capture_queues,
            JOBTRAIL_DEAD_LETTERS_HEALTH_PORT="0",
        )

    @property
    def running(self) -> bool:
        """Whether it has not left yet."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, and wait until it is about to work."""
        super().start()
        eventually(self._ready.exists)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float = WAIT_S) -> int:
        """Wait until it has left; return its exit code."""
        assert self._process is not None
        return self._process.wait(timeout_s)


MakeProcess = Callable[..., LettersProcess]


@pytest.fixture
def letters_process(tmp_path: Path) -> Iterator[MakeProcess]:
    """Make processes; none outlives the test."""
    made: list[LettersProcess] = []

    def make(settings: Settings, replay_id: str | None = None) -> LettersProcess:
        made.append(LettersProcess(settings, tmp_path / f"ready-{len(made)}", replay_id))
        return made[-1]

    yield make
    for process in made:
        process.end()


async def publish_all(settings: Settings, queue: str, messages: Sequence[tuple[bytes, bytes]]) -> None:
    """Publish messages with these very bytes as their properties, all confirmed."""
    sender = BulkSender(settings.require_amqp_url(), "publisher of a test")
    try:
        await sender.open()
        for at in range(0, len(messages), 1000):
            some = [Message(routing_key=queue, body=body, properties=raw) for raw, body in messages[at : at + 1000]]
            assert await sender.send(some, WAIT_S) == set()
    finally:
        await sender.close()


async def take_all(settings: Settings, queue: str) -> list[tuple[bytes, bytes]]:
    """Take all messages that wait in a queue: their properties and bodies, to the bit."""
    async with Connection(settings.require_amqp_url(), "reader of a test") as connection:
        channel = await connection.channel()
        count = (await channel.declare_queue(queue, passive=True)).messages
        taken = await _taken(channel, queue, count, {})
        if taken:
            channel.acknowledge(taken[-1].tag)
    return [(delivery.raw, delivery.body) for delivery in taken]


async def read_stream(settings: Settings, stream: str, count: int) -> list[tuple[bytes, bytes]]:
    """Read the first messages of a stream: their properties, but for the offset, and bodies."""
    async with Connection(settings.require_amqp_url(), "reader of a test") as connection:
        channel = await connection.channel()
        await channel.set_prefetch(count)
        taken = await _taken(channel, stream, count, {"x-stream-offset": "first"})
    return [(without_offset(delivery.raw), delivery.body) for delivery in taken]


async def _taken(channel: Channel, queue: str, count: int, arguments: Mapping[str, object]) -> list[Delivery]:
    taken: list[Delivery] = []
    done = asyncio.Event()

    def take(delivery: Delivery) -> None:
        taken.append(delivery)
        if len(taken) == count:
            done.set()

    if count:
        await channel.consume(queue, take, arguments)
        await asyncio.wait_for(done.wait(), WAIT_S)
    return taken


def packed(**properties: Any) -> bytes:
    """Properties as bytes."""
    return encode(pika.BasicProperties(**properties))


async def declare(settings: Settings, queue: str, **arguments: Any) -> None:
    """Declare a durable queue; in the arguments' names underscores stand for dashes."""
    async with Connection(settings.require_amqp_url(), "a test") as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, {name.replace("_", "-"): value for name, value in arguments.items()})


def own_settings(settings: Settings, urls: StackUrls, **changes: Any) -> Settings:
    """Settings on services of a test's own."""
    own = {"amqp_url": SecretStr(urls.amqp_url), "mongo_url": SecretStr(urls.mongo_url)}
    return settings.model_copy(update=own | changes)


@pytest.fixture
def random_moments() -> random.Random:
    """A generator whose seed is shown when a test fails."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed of the random moments: {seed}")
    return random.Random(seed)


def read(body: bytes, raw: bytes, queue: str = "error.worker") -> DeadLetter:
    """Make the letter of a message that was found in a queue."""
    now = datetime.now(UTC)
    found = Found(queue=queue, body=body, raw=raw, properties=decode(raw), exchange="", routing_key=queue, at=now)
    letter = read_letter(found, Settings())
    caused(letter)
    letter.id = "0" * 24
    return letter

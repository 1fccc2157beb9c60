"""Whatever happens to the stream and to its readers, in whatever order: each update is stored once, in order.

The model is two lists: what the stream holds, and what must be stored. The parts are the real ones.
"""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from prometheus_client import CollectorRegistry

from jobtrail.consumer import resume
from jobtrail.consumer.metrics import ConsumerMetrics
from jobtrail.consumer.order import Order
from jobtrail.consumer.partition import Partition
from jobtrail.deadletters.accounting import audit
from jobtrail.models.errors import BrokerError, OwnershipLostError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.log import Log
from jobtrail.store.log.rebuild import Rebuild
from tests.consumer.conftest import Bench
from tests.consumer.updates import update
from tests.support import eventually_async

_IS_SOAK = bool(os.environ.get("SOAK"))
_EXAMPLES, _STEPS = (200, 20) if _IS_SOAK else (10, 8)
_QUICK_S = 0.3
_numbers = count()


class _KilledError(Exception):
    """The process ends here."""


class World(RuleBasedStateMachine):
    """One stream, its readers, and what is to be stored."""

    settings: Settings
    bench: Bench

    @initialize()
    def begin(self) -> None:
        """Begin with an empty stream and an empty database."""
        self.bench.client.drop_database(self.settings.database)
        self.held: list[str] = []
        """What the stream holds."""
        self.read = 0
        """How much of that is stored."""
        self.expected: list[str] = []
        """What must be stored."""
        self._make_anew([])

    @rule(texts=st.integers(1, 3), times=st.integers(1, 4))
    def publish(self, texts: int, times: int) -> None:
        """Some updates come, of which some are equal."""
        for _ in range(texts):
            self._publish([f"update {next(_numbers)}"] * times)

    @rule(size=st.integers(1, 4))
    def store_all(self, size: int) -> None:
        """A reader stores all there is."""
        self._run(size, die_at=None)
        assert self.read == len(self.held)

    @rule(size=st.integers(1, 4), batches=st.integers(0, 3), committed=st.booleans())
    def be_killed(self, size: int, batches: int, committed: bool) -> None:
        """A reader stores some of it, and is killed before or after a commit, of which the broker hears nothing."""
        self._run(size, die_at=(batches, committed))

    @rule(size=st.integers(1, 4))
    def be_two(self, size: int) -> None:
        """Two readers believe to own the stream."""
        self._run(size, die_at=None, readers=2)

    @rule(kept=st.floats(0, 1), new=st.integers(0, 3))
    def be_cut(self, kept: float, new: int) -> None:
        """The stream loses its end, as after a power failure, and gets other updates."""
        kept_count = round(kept * len(self.held))
        self.held = self.held[:kept_count]
        self.read = min(self.read, kept_count)
        self._make_anew(self.held)
        self._publish([f"update {next(_numbers)}" for _ in range(new)])

    @rule(new=st.integers(0, 6))
    def be_made_anew(self, new: int) -> None:
        """The stream is deleted, and another one has its name."""
        self.held, self.read = [], 0
        self._make_anew([])
        self._publish([f"update {next(_numbers)}" for _ in range(new)])

    @invariant()
    def nothing_is_lost_doubled_or_out_of_order(self) -> None:
        """What is stored is what must be; the audit finds nothing, and the jobs are what their events say."""
        if not hasattr(self, "expected"):
            return
        assert self.bench.messages() == self.expected
        asyncio.run(self._assert_whole())

    def teardown(self) -> None:
        """Whatever is left is stored at the end."""
        if hasattr(self, "expected"):
            self._publish(["the end"])
            self.store_all(3)
            self.nothing_is_lost_doubled_or_out_of_order()

    def _publish(self, messages: list[str]) -> None:
        self.bench.publish(*(update("j", "processing", message) for message in messages))
        self.held += messages

    def _make_anew(self, messages: list[str]) -> None:
        self.bench.channel.queue_delete(self.settings.reply_stream)
        self.bench.disconnect()
        self.bench.publish(*(update("j", "processing", message) for message in messages))

    def _run(self, size: int, die_at: tuple[int, bool] | None, readers: int = 1) -> None:
        before = len(self.expected)
        stored = asyncio.run(self._read_on(size, die_at, readers)) - before
        assert 0 <= stored <= len(self.held) - self.read
        self.expected += self.held[self.read : self.read + stored]
        self.read += stored

    async def _read_on(self, size: int, die_at: tuple[int, bool] | None, readers: int) -> int:
        """Let readers work until all is stored, or they are killed; return how many updates are stored then."""
        settings = self.settings.model_copy(update={"batch_max_count": size})
        target = len(self.expected) + len(self.held) - self.read
        async with Database(settings.require_mongo_url(), settings.database) as database:
            await database.ensure_indexes()
            reading = [asyncio.create_task(_read(settings, database, die_at)) for _ in range(readers)]

            async def is_done() -> bool:
                return all(map(_is_over, reading)) or await database.extractions.count_documents({}) >= target

            await eventually_async(is_done)
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            return await database.extractions.count_documents({})

    async def _assert_whole(self) -> None:
        async with Database(self.settings.require_mongo_url(), self.settings.database) as database:
            found = await audit(self.settings, database, datetime.now(UTC) - timedelta(hours=2))
            assert found.wrong == 0
            assert [difference.what async for difference in Rebuild(database).verify()] == []


async def _read(settings: Settings, database: Database, die_at: tuple[int, bool] | None) -> None:
    """Read and store; begin anew where another reader was faster; end where it is killed."""
    batches = count()

    async def append(log: Log, *arguments: Any) -> Any:
        number = next(batches)
        if die_at == (number, False):
            raise _KilledError
        stored = await real_append(log, *arguments)
        if die_at == (number, True):
            raise _KilledError
        return stored

    while True:
        metrics = ConsumerMetrics(CollectorRegistry())
        partition = Partition(
            settings.reply_stream, settings, database, metrics=metrics, order=Order(database), stop=asyncio.Event()
        )
        partition._log.append = partial(append, partition._log)  # type: ignore[method-assign]
        try:
            await partition.run(lambda _state: None)
        except (OwnershipLostError, BrokerError):
            await asyncio.sleep(0.05)


def _is_over(task: "asyncio.Task[None]") -> bool:
    if task.done() and not isinstance(task.exception(), _KilledError):
        task.result()
    return task.done()


real_append = Log.append


def test_each_update_is_stored_once_and_in_order_whatever_happens(
    settings: Settings, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_FIRST_WAIT_S", "_LOOK_WAIT_S"):
        monkeypatch.setattr(resume, name, _QUICK_S)
    World.settings, World.bench = settings, bench
    run_state_machine_as_test(
        World,
        settings=hypothesis.settings(
            max_examples=_EXAMPLES, stateful_step_count=_STEPS, deadline=None, derandomize=not _IS_SOAK
        ),
    )

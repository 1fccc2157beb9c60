"""The watch of job events: which datasets it tells, when, and that nothing is left out when something dies."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from jobtrail.models.errors import StoreError
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.reconciler.events import NAME, EventWatch
from jobtrail.stack.mongod import Mongod
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.jobs.documents import job_document
from jobtrail.store.leases.lease import Lease
from tests.consumer.conftest import Bench as ConsumerBench
from tests.consumer.conftest import consuming
from tests.consumer.updates import update
from tests.jobs import a_job, lose_token, store
from tests.reconciler.bench import Bench, Document
from tests.support import WAIT_S, end, eventually, eventually_async

S = Status
Again = Mapping[str, datetime] | None
SOON_S = 15.0
"""What takes a tenth of a second, on a machine that is slow and busy with other tests."""


class Told:
    """Notes what a watch tells."""

    def __init__(self, answer: Callable[[Sequence[str]], Again] = lambda _ids: None) -> None:
        self._answer = answer
        self.calls: list[set[str]] = []
        self.at: dict[str, float] = {}
        self.purposes: list[str] = []

    async def on_datasets(self, dataset_ids: Sequence[str]) -> Again:
        self.calls.append(set(dataset_ids))
        self.at |= dict.fromkeys(dataset_ids, time.monotonic())
        return self._answer(dataset_ids)

    async def on_take_over(self, purpose: str) -> None:
        self.purposes.append(purpose)

    @property
    def ids(self) -> list[str]:
        return [dataset_id for call in self.calls for dataset_id in sorted(call)]

    async def wait_for(self, dataset_id: str, times: int = 1) -> None:
        async def told() -> bool:
            return self.ids.count(dataset_id) >= times

        await eventually_async(told)


@asynccontextmanager
async def watching(console: Console, settings: Settings, told: Told, ttl_s: float = 15.0) -> AsyncIterator[None]:
    """Run a watch in this event loop; it is stopped cleanly at the end."""
    stop = asyncio.Event()
    watch = EventWatch(console, settings, told.on_datasets, told.on_take_over, lease_ttl_s=ttl_s)
    task = asyncio.create_task(watch.run(stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


@asynccontextmanager
async def caught_up(console: Console, settings: Settings, told: Told, bench: Bench) -> AsyncIterator[None]:
    """Run a watch, and go on when it has told of what was there before; then forget that."""
    bench.dataset("anchor")
    async with watching(console, settings, told):
        await told.wait_for("anchor")
        told.calls.clear()
        yield


async def test_news_of_a_job_is_told_at_once(console: Console, settings: Settings, bench: Bench) -> None:
    told = Told()
    async with caught_up(console, settings, told, bench):
        bench.dataset("d-1")
        changed_at = time.monotonic()
        store(bench.trail, a_job("j-1", S.STARTED))
        await told.wait_for("d-1")

    assert told.at["d-1"] - changed_at < SOON_S
    assert told.purposes == [NAME]


async def test_only_open_datasets_are_told(console: Console, settings: Settings, bench: Bench) -> None:
    for dataset_id, status in (("complete", "Complete"), ("failed", "Failed"), ("d-1", "Analyzing")):
        bench.dataset(dataset_id, status=status)
    told = Told()
    async with caught_up(console, settings, told, bench):
        for resource_id in ("complete", "failed", "a-file", "d-1"):
            store(bench.trail, a_job(f"j of {resource_id}", S.STARTED, resource_id=resource_id))
        await told.wait_for("d-1")

    assert set(told.ids) == {"d-1"}


async def test_changes_that_come_together_are_told_together(console: Console, settings: Settings, bench: Bench) -> None:
    ids = bench.datasets(300)
    told = Told()
    async with caught_up(console, settings, told, bench):
        bench.trail["jobs"].insert_many(
            job_document(a_job(f"j-{n}", S.STARTED, resource_id=ids[n % 300])) for n in range(900)
        )
        for dataset_id in ids:
            await told.wait_for(dataset_id)

    assert len(told.calls) < 100


async def test_at_the_start_all_open_datasets_are_told_in_portions(
    console: Console, settings: Settings, bench: Bench
) -> None:
    ids = bench.datasets(950)
    told = Told()
    async with watching(console, settings, told):
        await told.wait_for(ids[-1])

    assert sorted(told.ids) == sorted(ids)
    assert max(len(call) for call in told.calls) == 200


async def test_fresh_news_does_not_wait_for_the_start_to_be_over(
    console: Console, settings: Settings, bench: Bench
) -> None:
    bench.datasets(4000)
    fresh: list[int] = []

    def note(dataset_ids: Sequence[str]) -> None:
        if len(told.calls) == 1:
            bench.dataset("fresh")
            with bench.trail["jobs"].watch() as stream:
                store(bench.trail, a_job("j-1", S.STARTED, resource_id="fresh"))
                next(stream)  # streams have it from now on
        if "fresh" in dataset_ids:
            fresh.append(len(told.calls))

    told = Told(note)
    async with watching(console, settings, told):
        await told.wait_for("fresh")

    assert fresh[0] < 20


async def test_a_dataset_is_looked_at_again_when_it_is_due(console: Console, settings: Settings, bench: Bench) -> None:
    bench.dataset("d-1")
    due = datetime.now(UTC) + timedelta(seconds=0.7)
    times: list[datetime] = []

    def again(dataset_ids: Sequence[str]) -> Again:
        times.append(datetime.now(UTC))
        return {"d-1": due} if len(times) == 1 else None

    told = Told(again)
    async with watching(console, settings, told):
        await told.wait_for("d-1", times=2)

    assert due <= times[1] < due + timedelta(seconds=SOON_S)


async def test_news_before_a_dataset_is_due_puts_it_off(console: Console, settings: Settings, bench: Bench) -> None:
    bench.dataset("d-1")
    due: list[datetime] = []

    def once_again(dataset_ids: Sequence[str]) -> Again:
        if "d-1" not in dataset_ids or due:
            return None
        due.append(datetime.now(UTC) + timedelta(seconds=6))
        store(bench.trail, a_job("j-1", S.PROCESSING))
        return {"d-1": due[0]}

    told = Told(once_again)
    async with watching(console, settings, told):
        await told.wait_for("d-1", times=2)
        bench.dataset("d-2")

        async def past() -> bool:
            return datetime.now(UTC) > due[0]

        await eventually_async(past)
        store(bench.trail, a_job("j-2", S.PROCESSING, resource_id="d-2"))
        await told.wait_for("d-2")

    assert told.ids.count("d-1") == 2


async def test_a_closed_dataset_is_not_looked_at_again(console: Console, settings: Settings, bench: Bench) -> None:
    bench.dataset("d-1")
    bench.dataset("d-2")

    def close(_dataset_ids: Sequence[str]) -> Again:
        if len(told.calls) > 1:
            return None
        bench.histories.update_one({"dataset_id": "d-1"}, {"$set": {"status": "Complete"}})
        return dict.fromkeys(("d-1", "d-2"), datetime.now(UTC))

    told = Told(close)
    async with watching(console, settings, told):
        await told.wait_for("d-2", times=2)

    assert told.ids.count("d-1") == 1


async def test_what_could_not_be_stored_is_told_again(console: Console, settings: Settings, bench: Bench) -> None:
    failures = 3

    def fail(dataset_ids: Sequence[str]) -> None:
        if "d-1" in dataset_ids and told.ids.count("d-1") <= failures:
            raise StoreError("away")

    told = Told(fail)
    async with caught_up(console, settings, told, bench):
        bench.dataset("d-1")
        store(bench.trail, a_job("j-1", S.STARTED))
        await told.wait_for("d-1", times=failures + 1)

    assert "anchor" not in told.ids  # only what was not stored


async def test_after_a_lost_token_all_open_datasets_are_told(
    console: Console, settings: Settings, bench: Bench
) -> None:
    def fail_once(dataset_ids: Sequence[str]) -> None:
        if "d-1" in dataset_ids and told.ids.count("d-1") == 1:
            lose_token(bench.trail, NAME)
            raise StoreError("away")

    told = Told(fail_once)
    async with caught_up(console, settings, told, bench):
        bench.dataset("d-1")
        store(bench.trail, a_job("j-1", S.STARTED))
        await told.wait_for("d-1", times=2)
        await told.wait_for("anchor")


async def test_after_a_malformed_token_all_open_datasets_are_told_once(
    console: Console, settings: Settings, bench: Bench
) -> None:
    ids = bench.datasets(3)
    bench.trail["resume_tokens"].insert_one({"_id": NAME, "token": {"_data": "no token"}})
    told = Told()
    async with watching(console, settings, told):
        await told.wait_for(ids[-1])
        store(bench.trail, a_job("j-1", S.STARTED, resource_id=ids[0]))
        await told.wait_for(ids[0], times=2)

    assert sorted(told.ids) == sorted([*ids, ids[0]])


async def test_the_token_moves_on_while_no_job_changes(
    console: Console, settings: Settings, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else other collections' changes would push it out of the oplog."""
    monkeypatch.setattr("jobtrail.reconciler.events._KEEP_EVERY_S", 0.1)
    tokens: set[str] = set()

    async def moved_on() -> bool:
        bench.histories.update_one({}, {"$inc": {"touched": 1}})
        tokens.add(str((bench.trail["resume_tokens"].find_one({"_id": NAME}) or {})["token"]))
        return len(tokens) > 3

    async with caught_up(console, settings, Told(), bench):
        await eventually_async(moved_on)


async def test_batch_jobs_follow_their_jobs(console: Console, settings: Settings, bench: Bench) -> None:
    for job_id in ("before", "meanwhile"):
        bench.batch_jobs.insert_one({"dataset_id": job_id, "viewpoint": "v", "job_id": job_id, "status": "Pending"})
    store(bench.trail, a_job("before", S.SUCCEEDED))

    def status(job_id: str) -> str:
        return str((bench.batch_jobs.find_one({"job_id": job_id}) or {})["status"])

    async def followed() -> bool:
        return (status("before"), status("meanwhile")) == ("Complete", "Running")

    async with caught_up(console, settings, Told(), bench):
        store(bench.trail, a_job("meanwhile", S.PROCESSING))
        await eventually_async(followed)


async def test_a_batch_job_that_came_back_while_nobody_watched_is_followed(
    console: Console, settings: Settings, bench: Bench
) -> None:
    """It is finished, so that only the kept token leads to it."""
    bench.batch_jobs.insert_one({"dataset_id": "d", "viewpoint": "v", "job_id": "j", "status": "Failed"})
    async with caught_up(console, settings, Told(), bench):
        pass
    store(bench.trail, a_job("j", S.PROCESSING))

    async def followed() -> bool:
        return bench.batch_jobs.count_documents({"status": "Running"}) == 1

    async with watching(console, settings, Told()):
        await eventually_async(followed)


async def test_it_stops_at_once_and_gives_the_lease_back(
    console: Console, settings: Settings, bench: Bench, database: Database
) -> None:
    async with caught_up(console, settings, Told(), bench):
        stopping_at = time.monotonic()

    assert time.monotonic() - stopping_at < SOON_S
    assert await Lease(database, NAME).acquire() is None


async def test_while_one_watches_another_one_stands_by_and_takes_over(
    console: Console, settings: Settings, bench: Bench
) -> None:
    bench.dataset("d-1")
    first, second = Told(), Told()
    async with watching(console, settings, first, ttl_s=6.0):
        await first.wait_for("d-1")
        async with watching(console, settings, second, ttl_s=6.0):
            store(bench.trail, a_job("j-1", S.STARTED))
            await first.wait_for("d-1", times=2)
            assert second.purposes == []
    async with watching(console, settings, second, ttl_s=6.0):
        await second.wait_for("d-1")


async def test_the_end_of_a_real_job_is_told_at_once(console: Console, settings: Settings, bench: Bench) -> None:
    told = Told()
    replies = ConsumerBench(settings)
    try:
        async with consuming(settings), caught_up(console, settings, told, bench):
            bench.dataset("d-1")
            replies.publish(update("j", "start", "Started.", file_id="d-1"))
            await told.wait_for("d-1")
            ended_at = time.monotonic()
            replies.publish(update("j", "done", "Done.", file_id="d-1"))
            await told.wait_for("d-1", times=2)
    finally:
        replies.close()

    assert told.at["d-1"] - ended_at < SOON_S
    assert (bench.trail["jobs"].find_one({"_id": "j"}) or {})["status"] == "SUCCEEDED"


async def test_an_outage_of_the_database_is_waited_out(own_mongod: Mongod, settings: Settings) -> None:
    settings = settings.model_copy(update={"mongo_url": SecretStr(own_mongod.url)})
    told = Told()
    client: MongoClient[Document] = MongoClient(own_mongod.url, tz_aware=True)
    async with Database(own_mongod.url, settings.database, timeout_s=1.0) as database:
        console = Console(database, settings)
        await console.ensure_indexes()
        bench = Bench(client, settings)
        async with caught_up(console, settings, told, bench):
            own_mongod.kill()
            own_mongod.start()
            bench.dataset("d-1")
            store(bench.trail, a_job("j-1", S.STARTED))
            await told.wait_for("d-1")
    client.close()


Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn(settings: Settings) -> Iterator[Spawn]:
    """Start watches as processes; none outlives the test."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        named = {
            "JOBTRAIL_MONGO_URL": settings.require_mongo_url(),
            "JOBTRAIL_DATABASE": settings.database,
            "JOBTRAIL_CONSOLE_DATABASE": settings.console_database,
            "JOBTRAIL_ANALYZER_DATABASE": settings.analyzer_database,
            "JOBTRAIL_RETRY_MAX_WAIT_S": "0.5",
        }
        command = [sys.executable, "-m", "tests.reconciler.watch_process"]
        processes.append(subprocess.Popen(command, env=os.environ | named | environment))
        return processes[-1]

    yield start
    for process in processes:
        end(process)


def times_told(bench: Bench, dataset_id: str) -> int:
    return int((bench.trail["told"].find_one({"_id": dataset_id}) or {"times": 0})["times"])


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_killed_around_an_effect_it_is_told_again_by_the_next_one(
    console: Console, bench: Bench, spawn: Spawn, moment: str
) -> None:
    bench.dataset("anchor")
    process = spawn(DIE=moment, DIE_AT="d-1")
    eventually(lambda: times_told(bench, "anchor") == 1)
    bench.dataset("d-1")
    bench.batch_jobs.insert_one({"dataset_id": "d", "viewpoint": "v", "job_id": "batch", "status": "Failed"})
    bench.trail["jobs"].insert_many(
        [job_document(a_job("j-1", S.STARTED)), job_document(a_job("batch", S.STARTED, resource_id="d"))]
    )
    assert process.wait(WAIT_S) == -signal.SIGKILL
    bench.let_leases_run_out()
    bench.batch_jobs.update_one({"job_id": "batch"}, {"$set": {"status": "Failed"}})

    spawn()

    eventually(lambda: times_told(bench, "d-1") == (1 if moment == "before" else 2))
    # The batch job counts as finished, so it was the change stream that came back to the same batch.
    eventually(lambda: bench.batch_jobs.count_documents({"status": "Running"}) == 1)


async def test_when_the_one_that_watches_is_killed_the_one_that_stands_by_takes_over(
    console: Console, bench: Bench, spawn: Spawn
) -> None:
    bench.dataset("anchor")
    first = spawn()
    eventually(lambda: times_told(bench, "anchor") == 1)
    second = spawn()
    first.kill()
    first.wait()
    bench.let_leases_run_out()
    bench.dataset("d-1")
    store(bench.trail, a_job("j-1", S.STARTED))

    eventually(lambda: times_told(bench, "d-1") >= 1)

    assert (bench.trail["told"].find_one({"_id": "d-1"}) or {})["by"] == [second.pid]

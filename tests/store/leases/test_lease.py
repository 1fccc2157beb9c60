"""Leases: one holder at a time, and none for long when it dies."""

import asyncio
import sys
import time
from contextlib import suppress

import pytest

from jobtrail.models.errors import OwnershipLostError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.leases.lease import Lease, turn
from tests.support import WAIT_S, eventually_async
from tests.tcp_proxy import TcpProxy

TTL_S = 3.0
"""Long enough that its holder renews it in time on a busy machine."""


async def forever() -> None:
    await asyncio.Event().wait()


async def test_one_holds_it_and_the_others_are_told_who(database: Database) -> None:
    first, second = Lease(database, "run"), Lease(database, "run")
    assert await first.acquire() is None
    holder = await second.acquire()
    assert holder is not None
    assert holder.name.rpartition(":")[2].isdigit()
    assert await first.acquire() is None, "its holder may take it for longer"


async def test_what_was_given_back_is_free(database: Database) -> None:
    first, second = Lease(database, "run"), Lease(database, "run")
    await first.acquire()
    await second.release()
    assert await second.acquire() is not None, "nobody gives back what others hold"
    await first.release()
    assert await second.acquire() is None


async def test_leases_of_other_names_do_not_matter(database: Database) -> None:
    assert await Lease(database, "run").acquire() is None
    assert await Lease(database, "events").acquire() is None


async def test_of_many_that_want_it_at_once_one_gets_it(database: Database) -> None:
    taken = await asyncio.gather(*(Lease(database, "run").acquire() for _ in range(20)))
    assert taken.count(None) == 1


async def test_a_dead_holder_loses_it(database: Database) -> None:
    dead, heir = Lease(database, "run", ttl_s=0.5), Lease(database, "run", ttl_s=0.5)
    await dead.acquire()

    async def inherited() -> bool:
        return await heir.acquire() is None

    await eventually_async(inherited)


async def test_the_lease_of_a_process_of_this_machine_that_has_ended_is_taken_at_once(database: Database) -> None:
    dead, heir = Lease(database, "run"), Lease(database, "run")
    await dead.acquire()
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await ended.wait()
    await database.leases.update_one({"_id": "run"}, {"$set": {"process.pid": ended.pid}})

    assert await heir.acquire() is None
    assert await dead.acquire() is not None, "the process id was the dead one's, not ours"


async def test_the_lease_of_a_process_elsewhere_is_not(database: Database) -> None:
    await Lease(database, "run").acquire()
    elsewhere = {"process.pid": 2**22 - 1, "process.machine": "another machine"}
    await database.leases.update_one({"_id": "run"}, {"$set": elsewhere})

    assert await Lease(database, "run").acquire() is not None


async def test_it_is_renewed_while_its_holder_works_and_given_back_after(database: Database) -> None:
    lease, other = Lease(database, "run", ttl_s=TTL_S), Lease(database, "run")
    await lease.acquire()

    async def work() -> str:
        loop = asyncio.get_running_loop()
        end = loop.time() + 1.2 * TTL_S
        while loop.time() < end:
            assert await other.acquire() is not None
            await asyncio.sleep(0.05)
        return "done"

    assert await lease.while_held(work) == "done"
    assert await other.acquire() is None


async def test_work_ends_when_the_lease_is_lost(database: Database) -> None:
    lease = Lease(database, "run", ttl_s=TTL_S)
    await lease.acquire()
    working = asyncio.create_task(lease.while_held(forever))
    # Frozen for longer than the lease lasts, and another one took it: so it looks in the database.
    await database.leases.update_one({"_id": "run"}, {"$set": {"holder": "other:1:x"}})
    with pytest.raises(OwnershipLostError, match="'run'"):
        await asyncio.wait_for(working, WAIT_S)
    document = await database.leases.find_one({"_id": "run"})
    assert document is not None
    assert document["holder"] == "other:1:x", "it is no longer ours to give back"


async def test_a_renewal_that_loses_its_cancellation_ends_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.runtime.tasks._AGAIN_AFTER_S", 0.1)
    lease, other = Lease(database, "run", ttl_s=0.3), Lease(database, "run")
    await lease.acquire()
    renewed = asyncio.Event()

    async def lose_it() -> None:
        # As asyncio.wait_for does before Python 3.12 when a cancellation comes together with the result.
        if not renewed.is_set():
            renewed.set()
            with suppress(asyncio.CancelledError):
                await forever()

    monkeypatch.setattr(Lease, "acquire", lambda _self: lose_it())
    await asyncio.wait_for(lease.while_held(renewed.wait), WAIT_S)
    monkeypatch.undo()
    assert await other.acquire() is None


async def test_an_error_of_the_work_is_passed_on_and_the_lease_is_free(database: Database) -> None:
    lease, other = Lease(database, "run"), Lease(database, "run")
    await lease.acquire()

    async def work() -> None:
        raise ValueError("the work's own")

    with pytest.raises(ValueError, match="the work's own"):
        await lease.while_held(work)
    assert await other.acquire() is None


async def test_cancelling_ends_the_work_and_frees_the_lease(database: Database) -> None:
    lease, other = Lease(database, "run"), Lease(database, "run")
    await lease.acquire()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await forever()
        finally:
            ended.set()

    holding = asyncio.create_task(lease.while_held(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert ended.is_set()
    assert await other.acquire() is None


async def test_of_many_that_want_a_turn_at_once_one_has_it_and_then_the_next(database: Database) -> None:
    at_work = 0
    turns: list[bool] = []

    async def do() -> None:
        nonlocal at_work
        async with turn(database, "once", WAIT_S) as ours:
            turns.append(ours)
            if ours:
                at_work += 1
                await database.ping()
                assert at_work == 1
                at_work -= 1

    await asyncio.gather(*(do() for _ in range(10)))
    assert True in turns
    async with turn(database, "once", WAIT_S) as ours:
        assert ours


async def test_nothing_is_done_when_a_turn_is_over(database: Database) -> None:
    told = database.collection("told")
    with pytest.raises(StoreError):
        async with turn(database, "once", 0.5) as ours:
            assert ours
            await asyncio.sleep(0.6)  # asleep past its end
            await told.insert_one({"_id": "too late"})
    assert await told.count_documents({}) == 0


async def test_a_database_that_does_not_answer_fails_it_before_the_lease_runs_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.store.leases.lease._ANSWER_TIMEOUT_S", 0.5)
    with TcpProxy(settings.require_mongo_url()) as proxy:
        async with Database(f"{proxy.url}&directConnection=true", settings.database) as database:
            lease = Lease(database, "run")
            assert await lease.acquire() is None
            proxy.freeze()
            begun = time.monotonic()
            with pytest.raises(StoreError):
                await lease.acquire()
            assert time.monotonic() - begun < TTL_S
            proxy.cut()

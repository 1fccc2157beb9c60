"""The stream of job changes: nothing missed across restarts, and honest when it can't go on."""

import asyncio
from collections.abc import Callable

import pytest
from pymongo import MongoClient

from jobtrail.models.errors import StoreError
from jobtrail.models.jobs.status import Status
from jobtrail.stack.mongod import Mongod
from jobtrail.store.database import Database
from jobtrail.store.jobs.changes import MAX_CHANGES, ChangeBatch, JobChanges, job_changes
from jobtrail.store.jobs.documents import job_document
from tests.jobs import a_job, lose_token, store
from tests.reconciler.bench import Bench
from tests.support import WAIT_S, eventually_async

NAME = "test"


async def until(changes: JobChanges, wanted: Callable[[ChangeBatch], bool]) -> list[ChangeBatch]:
    """Take batches up to the one that is wanted."""
    batches: list[ChangeBatch] = []
    async with asyncio.timeout(WAIT_S):
        while not batches or not wanted(batches[-1]):
            batches.append(await changes.take(0.2))
    return batches


async def job_ids(changes: JobChanges, last: str) -> set[str]:
    """Take changes up to one job's and tell which jobs they were about."""
    return set().union(*(batch.job_ids for batch in await until(changes, lambda batch: last in batch.job_ids)))


async def test_changed_jobs_come_with_what_they_are_about(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME) as changes:
        store(bench.trail, a_job("j-1", Status.STARTED), a_job("j-2", Status.STARTED, resource_id="d-2"))
        store(bench.trail, a_job("j-1", Status.SUCCEEDED))
        batches = await until(changes, lambda batch: "j-2" in batch.job_ids)

    assert set().union(*(batch.job_ids for batch in batches)) == {"j-1", "j-2"}
    assert set().union(*(batch.resource_ids for batch in batches)) == {"d-1", "d-2"}


async def test_changes_that_come_together_are_one_batch(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME) as changes:
        bench.trail["jobs"].insert_many(job_document(a_job(f"j-{n}", Status.STARTED)) for n in range(100))
        async with asyncio.timeout(WAIT_S):  # much less than it would wait for a first change
            batch = await changes.take(10 * WAIT_S)

    assert len(batch.job_ids) == 100


async def test_a_batch_is_bounded(database: Database, bench: Bench) -> None:
    count = 2 * MAX_CHANGES + 10
    async with job_changes(database, NAME) as changes:
        bench.trail["jobs"].insert_many(job_document(a_job(f"j-{n}", Status.STARTED)) for n in range(count))
        batches = await until(changes, lambda batch: f"j-{count - 1}" in batch.job_ids)

    assert max(len(batch.job_ids) for batch in batches) == MAX_CHANGES
    assert sum(len(batch.job_ids) for batch in batches) == count


async def test_no_change_in_time_is_an_empty_batch_and_breaks_nothing(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME) as changes:
        assert [(await changes.take(0)).job_ids for _ in range(3)] == [set()] * 3
        store(bench.trail, a_job("j-1", Status.STARTED))
        assert await job_ids(changes, "j-1") == {"j-1"}


async def test_a_removed_job_is_no_change(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME) as changes:
        store(bench.trail, a_job("j-1", Status.STARTED))
        await job_ids(changes, "j-1")
        bench.trail["jobs"].delete_one({"_id": "j-1"})
        store(bench.trail, a_job("j-2", Status.STARTED))
        assert await job_ids(changes, "j-2") == {"j-2"}


async def test_a_first_stream_begins_now_and_says_so(database: Database, bench: Bench) -> None:
    store(bench.trail, a_job("before", Status.STARTED))

    async with job_changes(database, NAME) as changes:
        assert not changes.resumed
        store(bench.trail, a_job("after", Status.STARTED))
        assert await job_ids(changes, "after") == {"after"}


async def test_what_happened_while_nobody_watched_comes_after_the_kept_token(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME) as changes:
        store(bench.trail, a_job("kept", Status.STARTED))
        (*_, batch) = await until(changes, lambda batch: "kept" in batch.job_ids)
        await changes.keep(batch.token)
        store(bench.trail, a_job("taken, not kept", Status.STARTED))
        await job_ids(changes, "taken, not kept")
    store(bench.trail, a_job("missed", Status.STARTED))

    async with job_changes(database, NAME) as changes:
        assert changes.resumed
        assert await job_ids(changes, "missed") == {"taken, not kept", "missed"}


async def test_each_purpose_has_a_token_of_its_own(database: Database) -> None:
    async with job_changes(database, NAME) as changes:
        await changes.keep((await changes.take(0)).token)

    async with job_changes(database, "another") as changes:
        assert not changes.resumed


async def test_after_a_token_that_mongodb_does_not_know_it_begins_anew_and_says_so(
    database: Database, bench: Bench
) -> None:
    async with job_changes(database, NAME):
        lose_token(bench.trail, NAME)

    async with job_changes(database, NAME) as changes:
        assert not changes.resumed
        store(bench.trail, a_job("j-2", Status.STARTED))
        assert await job_ids(changes, "j-2") == {"j-2"}
    async with job_changes(database, NAME) as changes:
        assert changes.resumed


async def test_after_a_malformed_token_it_begins_anew_and_says_so(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME):
        pass
    tokens = bench.trail["resume_tokens"]
    good = str((tokens.find_one({"_id": NAME}) or {})["token"]["_data"])
    malformed = ["abc", 5, {}, {"_data": "no hex"}, {"_data": ""}, {"_data": 5}, {"_data": good[:-4]}, {"other": 1}]
    for token in malformed:
        tokens.update_one({"_id": NAME}, {"$set": {"token": token}})
        async with job_changes(database, NAME) as changes:
            assert not changes.resumed, token
    tokens.update_one({"_id": NAME}, {"$unset": {"token": ""}})
    async with job_changes(database, NAME) as changes:
        assert not changes.resumed
    async with job_changes(database, NAME) as changes:
        assert changes.resumed


async def test_a_lost_database_is_a_store_error_and_the_next_stream_goes_on(own_mongod: Mongod) -> None:
    async with Database(own_mongod.url, "trail", timeout_s=1.0) as database:
        with pytest.raises(StoreError):
            async with job_changes(database, NAME) as changes:
                await changes.keep((await changes.take(0)).token)
                own_mongod.kill()
                await changes.take(30)
        own_mongod.start()
        with MongoClient(own_mongod.url) as client:
            store(client["trail"], a_job("missed", Status.STARTED))
        await eventually_async(lambda: is_back(database))

        async with job_changes(database, NAME) as changes:
            assert changes.resumed
            assert await job_ids(changes, "missed") == {"missed"}


async def is_back(database: Database) -> bool:
    try:
        await database.ping()
    except StoreError:
        return False
    return True


async def test_dropped_jobs_end_the_stream_and_the_next_one_goes_on(database: Database, bench: Bench) -> None:
    async with job_changes(database, NAME) as changes:
        bench.trail["jobs"].drop()
        store(bench.trail, a_job("j-1", Status.STARTED))
        with pytest.raises(StoreError, match="dropped"):
            await job_ids(changes, "j-1")

    async with job_changes(database, NAME) as changes:
        assert await job_ids(changes, "j-1") == {"j-1"}

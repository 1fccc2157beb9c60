"""Any batching, redelivery and duplication of a stream gives the same jobs, equal to their rebuild."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from unittest.mock import AsyncMock
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from models.delivery import Batch, Delivery, Position
from models.errors import OwnershipLostError
from models.job import Job, fold
from models.settings import Settings
from models.status import Status
from models.wire import StatusUpdate
from publisher import Reporter
from store.database import Database
from store.documents import job_from
from store.jobs import JobFilter, JobRepository
from store.rebuild import Rebuild
from store.trail import Trail
from tests.consumer.conftest import Bench, consuming
from tests.support import eventually_async

BEGUN = datetime(2026, 11, 22, tzinfo=UTC)


@st.composite
def streams(draw: st.DrawFn) -> list[Delivery]:
    """Updates of a few jobs, some with message ids and some of those repeated, some dead letters between them."""
    deliveries: list[Delivery] = []
    for number in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 9)) == 0:
            deliveries.append(delivery(number, None, None))
            continue
        if deliveries and draw(st.integers(0, 4)) == 0:
            deliveries.append(draw(st.sampled_from(deliveries)))
            continue
        producer = draw(st.sampled_from([None, "p", "q"]))
        update = StatusUpdate(
            extractor_id="x",
            resource_id="r",
            job_id=draw(st.sampled_from([None, "a", "b", "c"])),
            status="s",
            state=draw(st.sampled_from(Status)),
            message=f"m{number}",
            event_time=BEGUN + timedelta(seconds=draw(st.integers(0, 9))),
            producer_id=producer,
            sequence=draw(st.integers(1, 9)) if producer else None,
        )
        deliveries.append(delivery(number, update, str(uuid4()) if draw(st.booleans()) else None))
    return deliveries


def delivery(number: int, update: StatusUpdate | None, message_id: str | None) -> Delivery:
    return Delivery(
        fingerprint=number.to_bytes(8, "big"),
        received_at=BEGUN + timedelta(seconds=number),
        update=update,
        message_id=message_id,
    )


def expected_jobs(deliveries: Sequence[Delivery]) -> dict[str, Job]:
    jobs: dict[str, Job] = {}
    seen: set[str] = set()
    for one in deliveries:
        if one.update is None or one.message_id in seen:
            continue
        if one.message_id:
            seen.add(one.message_id)
        if one.update.job_id:
            jobs[one.update.job_id], _ = fold(jobs.get(one.update.job_id), one.update, one.received_at)
    return jobs


def cut(deliveries: Sequence[Delivery], cuts: Sequence[int]) -> list[Sequence[Delivery]]:
    edges = sorted({0, *(at % (len(deliveries) + 1) for at in cuts), len(deliveries)})
    return [deliveries[first:last] for first, last in pairwise(edges)]


async def store(database: Database, queue: str, batches: Sequence[Sequence[Delivery]]) -> Position:
    trail = Trail(database)
    first_seq = 1
    for batch in batches:
        await trail.store(Batch(queue=queue, first_seq=first_seq, deliveries=batch, anchors=[first_seq]))
        first_seq += len(batch)
    position = await trail.position(queue)
    await trail.close()
    return position


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deliveries=streams(), cuts=st.lists(st.integers(0, 30), max_size=6))
def test_any_batching_and_repetition_gives_the_same_jobs_equal_to_the_rebuild(
    settings: Settings, deliveries: list[Delivery], cuts: list[int]
) -> None:
    async def check() -> None:
        async with Database(settings.require_mongo_url(), settings.database) as database:
            await database.ensure_indexes()
            for name in ("extractions", "jobs", "deliveries"):
                await database.collection(name).delete_many({})
            position = await store(database, "q", cut(deliveries, cuts))
            jobs = {job.job_id: job async for job in read_jobs(database)}
            assert jobs == expected_jobs(deliveries)
            assert [difference async for difference in Rebuild(database).verify()] == []
            assert position.last_seq == len(deliveries)
            assert list(position.fingerprints) == [one.fingerprint for one in deliveries]

    asyncio.run(check())


async def read_jobs(database: Database) -> Any:
    async for document in database.jobs.find():
        yield job_from(document)


async def test_of_two_consumers_that_believe_to_own_a_queue_only_one_can_store(settings: Settings) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        await store(database, "q", [[delivery(1, None, None)]])
        with pytest.raises(OwnershipLostError):
            await store(database, "q", [[delivery(2, None, None)]])


async def test_a_successor_does_not_wait_for_a_transaction_that_a_killed_consumer_left_open(settings: Settings) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        killed, successor = Trail(database), Trail(database)
        await leave_open(killed, database)

        await assert_takes_over_and_stores(successor)


async def assert_takes_over_and_stores(successor: Trail) -> None:
    batch = Batch(queue="q", first_seq=1, deliveries=[delivery(1, None, None)], anchors=[1])
    await successor.take_over("q")
    async with asyncio.timeout(60):
        assert (await successor.store(batch)).dead_lettered == 1
    await successor.close()


async def leave_open(killed: Trail, database: Database) -> None:
    """Leave a transaction open, as a consumer does that is killed inside it."""
    await killed.take_over("q")
    session = killed._writer._session
    await session.start_transaction()
    await database.deliveries.insert_one({"queue": "q", "first_seq": 1}, session=session)


@pytest.mark.parametrize(("of", "call"), [(AsyncDatabase, "command"), (AsyncCollection, "update_one")])
async def test_nor_does_it_when_the_one_between_them_was_killed_while_it_took_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, of: type, call: str
) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        killed, between, successor = Trail(database), Trail(database), Trail(database)
        await leave_open(killed, database)
        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(of, call, AsyncMock(side_effect=SystemExit))
            await between.take_over("q")

        await assert_takes_over_and_stores(successor)


async def test_what_a_reporter_says_becomes_a_finished_job_without_gaps(
    bench: Bench, settings: Settings, tmp_path: Any
) -> None:
    bench.channel.queue_declare(settings.reply_queue, passive=True)
    async with consuming(settings), Database(settings.require_mongo_url(), settings.database) as database:
        with Reporter(
            settings.require_amqp_url(), "demo", reply_queue=settings.reply_queue, spool_path=tmp_path / "spool"
        ) as reporter:
            with reporter.job("file-1") as job:
                for step in range(8):
                    job.progress(f"step {step}", percent=step * 10)
            assert await asyncio.to_thread(reporter.flush, 20)
        stored = await eventually_async(lambda: finished(JobRepository(database), job.job_id))

    assert (stored.status, stored.attempts, stored.event_count) == (Status.SUCCEEDED, 1, 10)
    assert stored.missing == {}
    assert stored.percent == 70


async def finished(jobs: JobRepository, job_id: str) -> Any:
    found = await jobs.list(JobFilter(), limit=10)
    return next((job for job in found.jobs if job.job_id == job_id and job.status.is_end), False)

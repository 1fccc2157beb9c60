"""Any batching, redelivery and duplication of a stream gives the same jobs, equal to their rebuild."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
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

from jobtrail.models.dead_letters.dead_letter import LetterKind
from jobtrail.models.dead_letters.refused import refused_letter
from jobtrail.models.delivery import Entry, StoredBatch
from jobtrail.models.errors import OwnershipLostError
from jobtrail.models.jobs.job import JobState, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.models.position import Position
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.jobs.documents import job_from
from jobtrail.store.log.log import Log
from jobtrail.store.log.rebuild import Rebuild

BEGUN = datetime(2026, 11, 22, tzinfo=UTC)


@st.composite
def streams(draw: st.DrawFn) -> list[Entry]:
    """Updates of a few jobs, some with message ids and some of those repeated, some dead letters between them."""
    entries: list[Entry] = []
    for number in range(draw(st.integers(1, 25))):
        if draw(st.integers(0, 9)) == 0:
            entries.append(entry(number, None, None))
            continue
        updates = [one for one in entries if one.update is not None]
        if updates and draw(st.integers(0, 4)) == 0:
            entries.append(replace(draw(st.sampled_from(updates))))
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
        entries.append(entry(number, update, str(uuid4()) if draw(st.booleans()) else None))
    return entries


def entry(number: int, update: StatusUpdate | None, message_id: str | None) -> Entry:
    received_at = BEGUN + timedelta(seconds=number)
    letter = None
    if update is None:
        letter = refused_letter(
            queue="s",
            reason="not_json",
            error="not JSON",
            body=b"{",
            properties=b"",
            exchange="",
            routing_key="s",
            received_at=received_at,
            kind=LetterKind.UPDATE,
            seq=number + 1,
            key=None,
            message_id=message_id,
            correlation_id=None,
            max_body_bytes=100,
        )
    return Entry(seq=number + 1, received_at=received_at, update=update, letter=letter, message_id=message_id)


def expected_jobs(entries: Sequence[Entry]) -> dict[str, JobState]:
    jobs: dict[str, JobState] = {}
    seen: set[object] = set()
    for one in entries:
        key = one.update and (one.update.job_id, one.message_id)
        if one.update is None or key in seen:
            continue
        if one.message_id:
            seen.add(key)
        if one.update.job_id:
            jobs[one.update.job_id], _ = fold(jobs.get(one.update.job_id), one.update, one.received_at)
    return jobs


def cut(entries: Sequence[Entry], cuts: Sequence[int]) -> list[Sequence[Entry]]:
    edges = sorted({0, *(at % (len(entries) + 1) for at in cuts), len(entries)})
    return [entries[first:last] for first, last in pairwise(edges)]


async def store(database: Database, stream: str, batches: Sequence[Sequence[Entry]]) -> Position:
    log = Log(database, stream)
    position = await log.position()
    for entries in batches:
        batch = [replace(one, seq=seq) for seq, one in enumerate(entries, position.seq + 1)]
        last = position.advanced(position.offset + len(batch), {}, batch[-1].received_at, {})
        await log.append(position, batch, last)
        position = last
    await log.close()
    return position


@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=streams(), cuts=st.lists(st.integers(0, 30), max_size=6))
def test_any_batching_and_repetition_gives_the_same_jobs_equal_to_the_rebuild(
    settings: Settings, entries: list[Entry], cuts: list[int]
) -> None:
    async def check() -> None:
        async with Database(settings.require_mongo_url(), settings.database) as database:
            await database.ensure_indexes()
            for name in ("extractions", "jobs", "positions", "dead_letters", "duplicates", "tallies"):
                await database.collection(name).delete_many({})
            position = await store(database, "s", cut(entries, cuts))
            jobs = {job.job_id: job async for job in read_jobs(database)}
            assert jobs == expected_jobs(entries)
            assert [difference async for difference in Rebuild(database).verify()] == []
            assert position.seq == len(entries)
            assert await numbers_on_record(database) == list(range(1, len(entries) + 1))

    asyncio.run(check())


async def numbers_on_record(database: Database) -> list[Any]:
    """Each message's number, as the event, the dead letter or the duplicate that it became."""
    numbers: list[Any] = []
    for name, field in (("extractions", "seq"), ("duplicates", "seq"), ("dead_letters", "origin_seq")):
        numbers += [document[field] async for document in database.collection(name).find()]
    return sorted(numbers)


async def read_jobs(database: Database) -> Any:
    async for document in database.jobs.find():
        yield job_from(document)


async def test_of_two_consumers_that_believe_to_own_a_stream_only_one_can_store(settings: Settings) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        former, owner = Log(database, "s"), Log(database, "s")
        position = await former.position()
        await append_one(owner, await owner.position())

        with pytest.raises(OwnershipLostError):
            await append_one(former, position)

        await former.close()
        await owner.close()


async def append_one(log: Log, position: Position) -> StoredBatch:
    one = entry(position.seq, None, None)
    return await log.append(position, [one], position.advanced(position.offset + 1, {}, one.received_at, {}))


async def test_a_successor_does_not_wait_for_a_transaction_that_a_killed_consumer_left_open(settings: Settings) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        killed, successor = Log(database, "s"), Log(database, "s")
        await leave_open(killed, database)

        await assert_takes_over_and_stores(successor)


async def assert_takes_over_and_stores(successor: Log) -> None:
    await successor.take_over()
    async with asyncio.timeout(60):
        assert (await append_one(successor, await successor.position())).dead_lettered == 1
    await successor.close()


async def leave_open(killed: Log, database: Database) -> None:
    """Leave a transaction open, as a consumer does that is killed inside it."""
    await killed.take_over()
    await killed.position()
    session = killed._writer._session
    await session.start_transaction()
    await database.collection("positions").update_one({"stream": "s"}, {"$set": {"offset": 7}}, session=session)


@pytest.mark.parametrize(("of", "call"), [(AsyncDatabase, "command"), (AsyncCollection, "update_one")])
async def test_nor_does_it_when_the_one_between_them_was_killed_while_it_took_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, of: type, call: str
) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        killed, between, successor = Log(database, "s"), Log(database, "s"), Log(database, "s")
        await leave_open(killed, database)
        with monkeypatch.context() as patch, pytest.raises(SystemExit):
            patch.setattr(of, call, AsyncMock(side_effect=SystemExit))
            await between.take_over()

        await assert_takes_over_and_stores(successor)

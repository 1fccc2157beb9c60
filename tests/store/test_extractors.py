"""Extractors and instances in MongoDB."""

import asyncio
import json
from datetime import timedelta

import pytest

from jobtrail.models.errors import NotFoundError
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from tests.heartbeat.support import NOW, beat
from tests.support import WAIT_S


@pytest.fixture
async def database(mongo_url, database_name):
    async with Database(mongo_url, database_name, timeout_s=WAIT_S) as database:
        await database.ensure_indexes()
        yield database


@pytest.fixture
def repository(database) -> ExtractorRepository:
    return ExtractorRepository(database)


def later(seconds: float):
    return NOW + timedelta(seconds=seconds)


async def test_the_first_heartbeats_of_one_extractor_register_it_once(database, repository):
    batches = [[beat(extractor="x", instance=f"i{n}")] for n in range(20)]
    assert await asyncio.gather(*(repository.record(batch) for batch in batches)) == [{}] * 20
    assert [record.name for record in await repository.list()] == ["x"]
    assert await database.extractors.count_documents({}) == 1
    assert len(await repository.instances("x")) == 20


async def test_no_instance_is_seen_before_its_extractor(repository):
    async def record_all():
        for n in range(20):
            await repository.record([beat(extractor=f"x{n}", instance=f"i{n}-{each}") for each in range(20)])

    recording = asyncio.create_task(record_all())
    while not recording.done():
        seen = {instance.extractor for instance in await repository.instances()}
        assert seen <= {record.name for record in await repository.list()}
    await recording


async def test_an_info_with_names_that_databases_dislike_comes_back_unchanged(repository):
    info = {
        "@context": "http://x", "$ref": "#/a", "$id": 1, "a.b.c": {"$set": {"x.y": None}}, "": "empty", "big": 2**80,
        "deep": json.loads("[" * 150 + "]" * 150), "nul": "a\0b", "emoji": "🧪", "float": 1.5,
    }  # fmt: skip
    await repository.record([beat(extractor="x", info=info)])
    assert (await repository.get("x")).info == {"name": "x", "version": "1.0", **info}


async def test_an_older_version_never_replaces_a_newer_one(repository):
    for seconds, version in enumerate(["1.9", "1.10", "1.2", "1.10-rc1"]):
        await repository.record([beat(later(seconds), extractor="x", version=version)])
    record = await repository.get("x")
    assert record.version == "1.10"
    assert [each.version for each in record.versions] == ["1.10", "1.10-rc1", "1.9", "1.2"]
    assert (record.first_seen, record.last_seen) == (NOW, later(3))


async def test_a_changed_info_of_the_same_version_wins_and_is_noted(repository):
    await repository.record([beat(extractor="x", info={"description": "one"})])
    await repository.record([beat(later(5), extractor="x", info={"description": "one"})])
    assert (await repository.get("x")).current.info_changes == 0
    await repository.record([beat(later(9), extractor="x", info={"description": "two"})])
    await repository.record([beat(later(7), extractor="x", info={"description": "late"})])
    current = (await repository.get("x")).current
    assert (current.info["description"], current.info_changes, current.info_changed_at) == ("two", 1, later(9))
    assert (current.first_seen, current.last_seen) == (NOW, later(9))


async def test_a_later_written_older_heartbeat_changes_nothing(repository):
    await repository.record([beat(later(10), extractor="x", jobs=["new"])])
    await repository.record([beat(NOW, extractor="x", jobs=["old"])])
    (instance,) = await repository.instances()
    assert (instance.jobs, instance.last_seen) == (("new",), later(10))


async def test_the_senders_sequence_tells_older_from_newer(repository):
    await repository.record([beat(NOW, extractor="x", sequence=5, stopping=True)])
    await repository.record([beat(later(1), extractor="x", sequence=4)])
    await repository.record([beat(later(2), extractor="x", sequence=5, stopping=True)])
    (instance,) = await repository.instances()
    assert (instance.stopping, instance.last_seen) == (True, NOW)


async def test_the_interval_is_learnt_from_the_gaps_where_the_sender_does_not_tell(repository):
    async def interval_after(seconds: float) -> float | None:
        await repository.record([beat(later(seconds), extractor="x")], watched_since=later(-1))
        return (await repository.instances())[0].interval_s

    assert await interval_after(0) is None
    assert await interval_after(30) == 30
    assert await interval_after(30.1) == 30  # waited together
    assert await interval_after(90.1) == 60  # one was lost: the longer gap counts at once
    assert await interval_after(120.1) == 45  # and is forgotten step by step
    assert await interval_after(150.1) == 37.5


async def test_a_gap_that_was_not_watched_teaches_nothing(repository):
    await repository.record([beat(extractor="x")])
    await repository.record([beat(later(10), extractor="x")])
    await repository.record([beat(later(7210), extractor="x")], watched_since=later(7200))
    assert (await repository.instances())[0].interval_s == 10


async def test_the_senders_own_interval_counts(repository):
    await repository.record([beat(extractor="x", interval_s=2.5)])
    await repository.record([beat(later(60), extractor="x", interval_s=2.5)])
    assert (await repository.instances())[0].interval_s == 2.5


async def test_a_write_that_the_database_refuses_is_told_and_does_not_stop_the_others(database, repository):
    validator = {"host": {"$ne": "forbidden"}}
    await database.client[database.name].command("collMod", "extractor_instances", validator=validator)
    refused = await repository.record(
        [beat(extractor="x", instance="bad", host="forbidden"), beat(extractor="x", instance="good")]
    )
    assert list(refused) == ["bad"]
    assert "validation" in refused["bad"]
    assert [each.instance_id for each in await repository.instances()] == ["good"]


async def test_dead_instances_expire_by_an_index(database):
    indexes = await database.extractor_instances.index_information()
    assert any(index.get("expireAfterSeconds") for index in indexes.values())


async def test_an_unknown_extractor_is_not_found(repository):
    with pytest.raises(NotFoundError):
        await repository.get("nobody")


async def test_the_watch_grows_and_notes_its_breaks(repository):
    never = await repository.watch("q")
    assert never.until.year == 1
    await repository.note_watch("q", NOW)
    watch = await repository.note_watch("q", later(2))
    assert (watch.since, watch.until, watch.before) == (NOW, later(2), None)
    await repository.note_watch("q", later(3))
    for second in range(4, 700, 4):
        await repository.note_watch("q", later(second))
    watch = await repository.note_watch("q", later(1000))
    assert (watch.since, watch.before) == (later(1000), later(696))
    watch = await repository.note_watch("q", later(1100))
    assert (watch.since, watch.before) == (later(1100), later(696)), "a short watch between two breaks is none"
    assert await repository.watch("q") == watch
    assert watch.silence_s(later(690), later(1110)) == 6

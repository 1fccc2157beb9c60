import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import DatetimeMS, ObjectId
from pymongo import MongoClient

from jobtrail.models.errors import NotFoundError, SettingError
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.store.clowder.importer import ClowderImport, ImportedSource
from jobtrail.store.database import Database
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.without_job_id import UnnamedRepository
from jobtrail.store.log.rebuild import Rebuild
from tests.cli.support import JobTrail, store_updates, update
from tests.support import eventually

Documents = list[dict[str, Any]]
T0 = datetime(2020, 6, 9, 12, 54, 2, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


@pytest.fixture
def clowder(mongo_client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Any]:
    """An empty Clowder database."""
    name = f"{database_name}_clowder"
    yield mongo_client[name]
    mongo_client.drop_database(name)


@pytest.fixture
def trail(mongo_client: MongoClient[dict[str, Any]], database_name: str) -> Any:
    return mongo_client[database_name]


async def run_import(settings: Settings, clowder: Any) -> dict[str, ImportedSource]:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        sources = await ClowderImport(database, settings.require_mongo_url(), clowder.name).run()
    return {source.name: source for source in sources}


async def differences(settings: Settings) -> list[Any]:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        return [difference async for difference in Rebuild(database).verify()]


def extraction(job_id: object, status: object, after_s: float = 0, **fields: Any) -> dict[str, Any]:
    document = {
        "_id": ObjectId(),
        "file_id": ObjectId("5cb2d2d3a4be0f9fd3400001"),
        "job_id": job_id,
        "extractor_id": "ncsa.cv.eyes",
        "status": status,
        "start": at(after_s),
        "user_id": "alice",
    }
    document["id"] = document["_id"]
    document |= fields
    return {name: value for name, value in document.items() if value is not ...}


def listener_job(job_id: ObjectId, **fields: Any) -> dict[str, Any]:
    return {
        "_id": job_id,
        "listener_id": "ncsa.wordcount",
        "resource_ref": {"collection": "files", "resource_id": ObjectId("5cb2d2d3a4be0f9fd3400002"), "version": 1},
        "creator": {"id": ObjectId(), "email": "bob@example.org", "first_name": "Bob", "last_name": "B"},
        "parameters": {},
        "created": at(0),
        "started": at(2),
        "updated": at(9),
        "finished": at(9),
        "duration": 7.0,
        "latest_message": "Done processing.",
        "status": "SUCCEEDED",
        **fields,
    }


def listener_updates(job_id: object, *words: tuple[str, float]) -> Documents:
    return [{"_id": ObjectId(), "job_id": job_id, "timestamp": at(after_s), "status": text} for text, after_s in words]


async def test_an_extraction_of_clowder_1_becomes_an_event_with_its_own_id(settings, clowder, trail) -> None:
    job_id = ObjectId()
    documents = [
        extraction(job_id, "SUBMITTED", 0),
        extraction(job_id, "Started processing file", 1),
        extraction(job_id, "DONE", 5),
    ]
    clowder.extractions.insert_many(documents)

    result = await run_import(settings, clowder)

    assert (result["import:clowder1"].read, result["import:clowder1"].imported) == (3, 3)
    stored = list(trail.extractions.find().sort("position"))
    assert [event["_id"] for event in stored] == [document["_id"] for document in documents]
    assert [event["seq"] for event in stored] == [1, 2, 3]
    assert {event["queue"] for event in stored} == {"import:clowder1"}
    assert [event["received_at"] for event in stored] == [at(0), at(1), at(5)]
    assert [event["status"] for event in stored] == ["SUBMITTED", "Started processing file", "DONE"]
    job = trail.jobs.find_one({"_id": str(job_id)})
    assert (job["status"], job["attempts"], job["user_id"]) == ("SUCCEEDED", 1, "alice")
    assert (job["submitted_at"], job["started_at"], job["finished_at"]) == (at(0), at(1), at(5))
    assert await differences(settings) == []


async def test_extractions_without_a_job_id_stay_without_one(settings, clowder, trail) -> None:
    clowder.extractions.insert_many(
        [extraction(..., "DONE", 5), extraction(None, "SUBMITTED", 0), extraction("", "Downloading", 3)]
    )

    await run_import(settings, clowder)

    assert trail.jobs.count_documents({}) == 0
    assert [event["job_id"] for event in trail.extractions.find()] == [None] * 3
    async with Database(settings.require_mongo_url(), settings.database) as database:
        [group] = await UnnamedRepository(database).latest()
    assert (group.event_count, group.status, group.first_at) == (3, Status.SUCCEEDED, at(0))


async def test_events_are_ordered_by_start_then_id_within_their_job(settings, clowder, trail) -> None:
    job_id = ObjectId()
    ids = sorted(ObjectId() for _ in range(4))
    documents = [
        extraction(job_id, "third", 5, _id=ids[3]),
        extraction(job_id, "second", 5, _id=ids[1]),
        extraction(job_id, "first", 1, _id=ids[2]),
        extraction(str(job_id), "fourth", 6, _id=ids[0]),
    ]
    clowder.extractions.insert_many(documents)

    await run_import(settings, clowder)

    stored = [event["message"] for event in trail.extractions.find({"job_id": str(job_id)}).sort("position")]
    assert stored == ["first", "second", "third", "fourth"]


async def test_what_cannot_be_imported_is_listed_with_its_reason_and_stops_nothing(settings, clowder, trail) -> None:
    bad = {
        "file_id is missing": extraction(ObjectId(), "x", file_id=...),
        "extractor_id is missing": extraction(ObjectId(), "x", extractor_id=" "),
        "status is missing": extraction(ObjectId(), ...),
        "status is a int": extraction(ObjectId(), 7),
        "start is missing": extraction(ObjectId(), "x", start=None),
        "start is not a valid timestamp: 'soon'": extraction(ObjectId(), "x", start="soon"),
        "start is not a valid timestamp: DatetimeMS": extraction(ObjectId(), "x", start=DatetimeMS(2**62)),
        "job_id has 200 characters": extraction("j" * 200, "x"),
        "job_id is a dict": extraction({"$oid": "x"}, "x"),
        "file_id has 600 characters": extraction(ObjectId(), "x", file_id="f" * 600),
        "status has more than": extraction(ObjectId(), "x" * (4 * 1024 * 1024)),
    }
    good = [extraction(ObjectId(), "DONE") for _ in range(3)] + [extraction("with-text-start", "x", start="2020-06-09")]
    clowder.extractions.insert_many([*bad.values(), *good])

    result = (await run_import(settings, clowder))["import:clowder1"]

    assert (result.imported, result.rejected_count) == (len(good), len(bad))
    reasons = {rejected.id: rejected.reason for rejected in result.rejected}
    for words, document in bad.items():
        assert words in reasons[str(document["_id"])]
    assert trail.jobs.count_documents({}) == len(good)


async def test_secrets_in_old_messages_are_masked(settings, clowder, trail) -> None:
    clowder.extractions.insert_one(extraction(ObjectId(), "Downloading http://clowder/api/files/1?key=r1ek3rs"))

    await run_import(settings, clowder)

    event = trail.extractions.find_one()
    assert "r1ek3rs" not in str(event)
    assert event["message"] == "Downloading http://clowder/api/files/1?key=***"


async def test_a_job_of_clowder_2_gets_back_what_its_updates_lost(settings, clowder, trail) -> None:
    job_id = ObjectId()
    clowder.listener_jobs.insert_one(listener_job(job_id))
    clowder.listener_job_updates.insert_many(
        listener_updates(str(job_id), ("Done processing.", 9), ("Started processing.", 2), ("Counting words", 3))
    )

    result = (await run_import(settings, clowder))["import:clowder2"]

    assert (result.read, result.imported, result.rejected_count) == (4, 4, 0)
    stored = list(trail.extractions.find().sort("position"))
    assert [event["state"] for event in stored] == ["SUBMITTED", "STARTED", "PROCESSING", "SUCCEEDED"]
    assert {event["queue"] for event in stored} == {"import:clowder2"}
    job = trail.jobs.find_one({"_id": str(job_id)})
    assert job["extractor_id"] == "ncsa.wordcount"
    assert job["resource_id"] == "5cb2d2d3a4be0f9fd3400002"
    assert job["user_id"] == "bob@example.org"
    assert (job["status"], job["attempts"], job["event_count"]) == ("SUCCEEDED", 1, 4)
    assert (job["submitted_at"], job["started_at"], job["finished_at"]) == (at(0), at(2), at(9))
    assert await differences(settings) == []


@pytest.mark.parametrize("word", ["SUCCEEDED", "ERROR", "SKIPPED"])
async def test_the_end_that_only_the_job_record_tells_is_added(settings, clowder, trail, word) -> None:
    job_id = ObjectId()
    clowder.listener_jobs.insert_one(listener_job(job_id, status=word, latest_message="that was it"))
    clowder.listener_job_updates.insert_many(listener_updates(job_id, ("Working", 3)))

    await run_import(settings, clowder)

    job = trail.jobs.find_one({"_id": str(job_id)})
    assert (job["status"], job["message"], job["finished_at"]) == (word, "that was it", at(9))


async def test_the_latest_update_takes_the_status_of_the_job_record(settings, clowder, trail) -> None:
    job_id = ObjectId()
    clowder.listener_jobs.insert_one(listener_job(job_id, status="ERROR", latest_message="disk is full"))
    clowder.listener_job_updates.insert_many(listener_updates(job_id, ("Working", 3), ("disk is full", 9)))

    await run_import(settings, clowder)

    stored = list(trail.extractions.find().sort("position"))
    assert [(event["state"], event["message"]) for event in stored] == [
        ("SUBMITTED", ""),
        ("PROCESSING", "Working"),
        ("ERROR", "disk is full"),
    ]


async def test_retries_in_clowder_2_are_attempts(settings, clowder, trail) -> None:
    job_id = ObjectId()
    clowder.listener_jobs.insert_one(listener_job(job_id))
    words = [
        ("Started processing.", 1),
        ("Resubmitting message.", 2),
        ("Started processing.", 3),
        ("Done processing.", 9),
    ]
    clowder.listener_job_updates.insert_many(listener_updates(str(job_id), *words))

    await run_import(settings, clowder)

    assert trail.jobs.find_one({"_id": str(job_id)})["attempts"] == 2


async def test_jobs_of_clowder_2_without_updates_and_updates_without_job_are_told_apart(
    settings, clowder, trail
) -> None:
    waiting, unknown = ObjectId(), ObjectId()
    fresh = {"status": "CREATED", "started": None, "finished": None, "updated": at(0), "latest_message": ""}
    clowder.listener_jobs.insert_many(
        [
            listener_job(waiting, **fresh),
            listener_job(ObjectId(), resource_ref=None),
            listener_job(ObjectId(), listener_id=""),
        ]
    )
    clowder.listener_job_updates.insert_many(
        [*listener_updates(unknown, ("lost", 1), ("lost too", 2)), *listener_updates(None, ("nobody's", 3))]
    )

    result = (await run_import(settings, clowder))["import:clowder2"]

    job = trail.jobs.find_one()
    assert (job["_id"], job["status"], job["event_count"]) == (str(waiting), "SUBMITTED", 1)
    assert trail.jobs.count_documents({}) == 1
    assert result.rejected_count == 5
    reasons = sorted(rejected.reason for rejected in result.rejected)
    assert reasons == [
        "it names no job",
        "its job is not in listener_jobs",
        "its job is not in listener_jobs",
        "missing_field: listener_id is missing",
        "missing_field: resource_ref is missing",
    ]


async def test_importing_twice_doubles_nothing_and_brings_in_what_is_new(settings, clowder, trail) -> None:
    job_id, running = ObjectId(), ObjectId()
    clowder.extractions.insert_many([extraction(job_id, "SUBMITTED"), extraction(..., "DONE")])
    unfinished = {"status": "PROCESSING", "finished": None, "latest_message": "Working"}
    clowder.listener_jobs.insert_one(listener_job(running, **unfinished))
    clowder.listener_job_updates.insert_many(listener_updates(str(running), ("Working", 3)))
    await run_import(settings, clowder)
    before = list(trail.extractions.find().sort("_id"))

    again = await run_import(settings, clowder)

    assert list(trail.extractions.find().sort("_id")) == before
    assert [(source.imported, source.known) for source in again.values()] == [(0, 2), (0, 2)]
    clowder.extractions.insert_one(extraction(job_id, "DONE", 5))
    clowder.listener_jobs.replace_one({"_id": running}, listener_job(running))
    clowder.listener_job_updates.insert_many(listener_updates(str(running), ("Done processing.", 9)))
    grown = await run_import(settings, clowder)
    assert [(source.imported, source.known) for source in grown.values()] == [(1, 2), (1, 2)]
    assert {job["status"] for job in trail.jobs.find()} == {"SUCCEEDED"}
    assert await differences(settings) == []


async def test_a_job_with_live_events_stays_equal_to_its_rebuild(settings, clowder, trail) -> None:
    job_id = ObjectId()
    await store_updates(settings, [update(str(job_id), "STARTED: go"), update(str(job_id), "SUCCEEDED: fine", 5)])
    clowder.extractions.insert_many([extraction(job_id, "SUBMITTED"), extraction(job_id, "Downloading", 1)])

    await run_import(settings, clowder)

    job = trail.jobs.find_one({"_id": str(job_id)})
    assert (job["status"], job["event_count"], job["submitted_at"]) == ("SUCCEEDED", 4, at(0))
    assert await differences(settings) == []


async def test_two_imports_at_once_double_nothing(settings, clowder, trail) -> None:
    jobs = [ObjectId() for _ in range(300)]
    clowder.extractions.insert_many(
        [extraction(job, word, s) for job in jobs for s, word in enumerate(("a", "b", "DONE"))]
    )

    first, second = await asyncio.gather(run_import(settings, clowder), run_import(settings, clowder))

    assert trail.extractions.count_documents({}) == 900
    # One that the other took over from begins to count anew, so what it had imported until then is in neither count.
    assert 0 < first["import:clowder1"].imported + second["import:clowder1"].imported <= 900
    assert await differences(settings) == []


def test_an_import_killed_in_the_middle_goes_on_and_misses_nothing(
    settings, clowder, trail, jobtrail: JobTrail
) -> None:
    jobs = [ObjectId() for _ in range(3000)]
    clowder.extractions.insert_many([extraction(job, word, s) for job in jobs for s, word in enumerate(("a", "DONE"))])
    clowder.listener_jobs.insert_many([listener_job(job, _id=ObjectId()) for job in jobs])
    tokens = trail.resume_tokens
    resumed = []
    for stop_at in (1, 2500, 4500, 7500):
        process = subprocess.Popen(
            jobtrail.command("import-clowder", jobtrail.environment["JOBTRAIL_MONGO_URL"], "--database", clowder.name),
            env=jobtrail.environ(),
            stdout=subprocess.DEVNULL,
        )

        def far_enough(stop_at: int = stop_at) -> bool:
            return sum(token["read"] for token in tokens.find()) >= stop_at

        eventually(far_enough)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        resumed.append(trail.extractions.count_documents({}))
    assert 0 < resumed[0] < resumed[-1] < 12_000

    told = jobtrail.json("import-clowder", jobtrail.environment["JOBTRAIL_MONGO_URL"], "--database", clowder.name)

    assert told["sources"][1]["resumed"] is True
    assert trail.extractions.count_documents({}) == 12_000
    assert trail.jobs.count_documents({"status": "SUCCEEDED", "event_count": 2}) == 6000
    for queue in ("import:clowder1", "import:clowder2"):
        seqs = [event["seq"] for event in trail.extractions.find({"queue": queue}, {"seq": 1}).sort("seq")]
        assert seqs == list(range(1, 6001))
    assert asyncio.run(differences(settings)) == []


async def test_a_job_with_more_updates_than_one_batch_is_imported_whole_and_in_order(settings, clowder, trail) -> None:
    job_id = ObjectId()
    clowder.listener_jobs.insert_one(listener_job(job_id, finished=at(5000), latest_message="the end"))
    words = [("Started processing.", 1), *((f"step {number}", 1 + number) for number in range(1, 1700))]
    clowder.listener_job_updates.insert_many(listener_updates(str(job_id), *words))

    await run_import(settings, clowder)

    stored = [event["message"] for event in trail.extractions.find().sort("position")]
    assert stored == ["", *(text for text, _ in words), "the end"]
    assert await differences(settings) == []


async def test_ids_that_are_no_object_ids_are_imported_once(settings, clowder, trail) -> None:
    texts = ["one", "5cb2d2d3a4be0f9fd34000aa", 7]
    clowder.extractions.insert_many([extraction("job", "x", number, _id=raw) for number, raw in enumerate(texts)])

    await run_import(settings, clowder)
    await run_import(settings, clowder)

    assert trail.extractions.count_documents({}) == 3
    assert trail.extractions.find_one({"_id": ObjectId("5cb2d2d3a4be0f9fd34000aa")})


async def test_a_database_that_is_no_clowders_is_an_error(settings, clowder, mongo_url) -> None:
    with pytest.raises(NotFoundError, match="none of Clowder's collections"):
        await run_import(settings, clowder)
    async with Database(mongo_url, settings.database) as database:
        with pytest.raises(SettingError):
            ClowderImport(database, "http://clowder.example.org")


async def test_imported_jobs_are_listed_by_their_own_times(settings, clowder) -> None:
    clowder.extractions.insert_many([extraction(f"job-{number}", "DONE", number) for number in range(3)])

    await run_import(settings, clowder)

    async with Database(settings.require_mongo_url(), settings.database) as database:
        page = await JobRepository(database).list(JobFilter(since=at(1)), limit=10)
    assert [job.job_id for job in page.jobs] == ["job-2", "job-1"]

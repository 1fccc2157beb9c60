"""What `jobtrail import-clowder` brought in is read back as Clowder itself would tell it."""

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from jobtrail.models.times import rfc3339
from tests.cli.test_import_clowder import at, extraction, listener_job, listener_updates, run_import


@pytest.fixture
def clowder(mongo_client: MongoClient[dict[str, Any]], database_name: str) -> Iterator[Any]:
    """An empty Clowder database."""
    name = f"{database_name}_clowder"
    yield mongo_client[name]
    mongo_client.drop_database(name)


async def test_clowder_2s_jobs_and_updates_are_the_same_as_before(settings, clowder, get) -> None:
    words = [("Started processing.", 2.0), ("Counting words", 3.0), ("Done processing.", 9.0)]
    failed = {"status": "ERROR", "latest_message": "boom", "created": at(100), "started": at(101)}
    jobs = {
        "done": (listener_job(ObjectId()), words),
        "failed": (
            listener_job(ObjectId(), **failed, updated=at(104), finished=at(104), duration=3.0),
            [("Started processing.", 101.0), ("boom", 104.0)],
        ),
        "waiting": (
            listener_job(
                ObjectId(), created=at(50), latest_message=None, status="CREATED",
                **dict.fromkeys(("started", "finished", "duration")), updated=at(50),
            ),
            [],
        ),
    }  # fmt: skip
    for record, told in jobs.values():
        clowder.listener_jobs.insert_one(record)
        if told:
            clowder.listener_job_updates.insert_many(listener_updates(str(record["_id"]), *told))
    await run_import(settings, clowder)

    page = await get("/api/v2/jobs", limit=10)

    assert [job["id"] for job in page["data"]] == [str(jobs[name][0]["_id"]) for name in ("failed", "waiting", "done")]
    for record, told in jobs.values():
        job_id = str(record["_id"])
        job = await get(f"/api/v2/jobs/{job_id}/summary")
        times = {name: rfc3339(record[name]) for name in ("created", "started", "updated", "finished")}
        same = {name: record[name] for name in ("listener_id", "duration", "latest_message", "status")}
        assert {name: job[name] for name in (*times, *same)} == times | same
        resource = {"collection": "files", "resource_id": str(record["resource_ref"]["resource_id"]), "version": None}
        assert job["resource_ref"] == resource
        assert job["creator"]["email"] == record["creator"]["email"]
        stored = clowder.listener_job_updates.find({"job_id": job_id})
        updates = await get(f"/api/v2/jobs/{job_id}/updates")
        assert [(each["timestamp"], each["status"]) for each in updates] == [(rfc3339(at(s)), text) for text, s in told]
        assert {each["id"] for each in updates} == {str(document["_id"]) for document in stored}


async def test_clowder_1s_extractions_have_the_same_status_as_before(settings, clowder, get) -> None:
    files = [ObjectId() for _ in range(2)]
    clowder.extractions.insert_many(
        [
            extraction(ObjectId(), "SUBMITTED", 0, file_id=files[0]),
            extraction(..., "Downloading file.", 1, file_id=files[0], extractor_id="siegfried"),
            extraction(..., "DONE", 2, file_id=files[0], extractor_id="siegfried"),
            extraction(..., "StatusMessage.error: boom", 3, file_id=files[1]),
        ]
    )
    await run_import(settings, clowder)

    assert await get(f"/api/extractions/{files[0]}/status") == {
        "ncsa.cv.eyes": "SUBMITTED",
        "siegfried": "DONE",
        "Status": "Processing",
    }
    assert await get(f"/api/extractions/{files[1]}/status") == {
        "ncsa.cv.eyes": "StatusMessage.error: boom",
        "Status": "Done",
    }

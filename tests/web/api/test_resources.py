"""What was done to one resource: extractor by extractor, job by job, and what names no job."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.store.jobs.documents import job_document
from tests.cli.support import store_updates, update
from tests.jobs import a_job
from tests.web.api.support import all_pages, assert_problem, get


@pytest.fixture
async def resource(settings: Settings) -> str:
    """Three extractors on `d/1`: one with jobs, one without job ids, one with both."""
    jobs = {"extractor_id": "jobs", "file_id": "d/1"}
    both = {"extractor_id": "both", "file_id": "d/1"}
    bare = {"extractor_id": "bare", "file_id": "d/1"}
    await store_updates(
        settings,
        [
            update("old", "SUBMITTED: old", 0, **jobs),
            update("new", "SUBMITTED: new", 10, **jobs, user_id="alice"),
            update("new", "STARTED: new", 20, **jobs),
            update("old", "STARTED: old", 30, **jobs),
            update(None, "STARTED: first", 31, **bare),
            update(None, "first words", 32, **bare),
            update(None, "DONE: last words", 33, **bare),
            update("once", "STARTED: once", 40, **both),
            update(None, "SKIP: not this one", 41, **both),
            update("elsewhere", "STARTED: there", 50, extractor_id="jobs", file_id="d/2"),
        ],
    )
    return "/resources/d%2F1"


async def test_each_extractor_tells_its_latest_job_and_what_names_none(api: httpx.AsyncClient, resource: str) -> None:
    told = await get(api, resource)
    assert told["resource_id"] == "d/1"
    both, bare, jobs = told["extractors"]
    assert (jobs["extractor_id"], jobs["job_count"], jobs["no_job_id"]) == ("jobs", 2, None)
    # The one that was asked for last, though the other one was heard of later.
    assert (jobs["latest_job"]["job_id"], jobs["latest_job"]["user_id"]) == ("new", "alice")
    assert (bare["extractor_id"], bare["job_count"], bare["latest_job"]) == ("bare", 0, None)
    assert bare["no_job_id"] == {
        "extractor_id": "bare",
        "resource_id": "d/1",
        "status": "SUCCEEDED",
        "message": "last words",
        "first_at": "2026-11-22T00:15:07.000Z",
        "updated_at": "2026-11-22T00:15:09.000Z",
        "event_count": 3,
    }
    assert (both["latest_job"]["job_id"], both["job_count"]) == ("once", 1)
    assert (both["no_job_id"]["status"], both["no_job_id"]["event_count"]) == ("SKIPPED", 1)
    assert await get(api, "/resources/nothing") == {"resource_id": "nothing", "extractors": []}


async def test_an_extractors_jobs_are_paged_the_newest_first(api: httpx.AsyncClient, resource: str) -> None:
    pages = await all_pages(api, f"{resource}/jobs", "jobs", extractor="jobs", limit=1)
    assert [[job["job_id"] for job in page] for page in pages] == [["new"], ["old"]]
    assert (await get(api, f"{resource}/jobs", extractor="bare"))["jobs"] == []


async def test_updates_that_name_no_job_are_paged_in_order(api: httpx.AsyncClient, resource: str) -> None:
    pages = await all_pages(api, f"{resource}/no-job-id", "events", extractor="bare", limit=2)
    assert [[event["message"] for event in page] for page in pages] == [["first", "first words"], ["last words"]]
    assert {(event["position"], event["attempt"]) for page in pages for event in page} == {(None, None)}


def told_of(extractor: dict[str, Any]) -> dict[str, list[str]]:
    """What an extractor said, by job; under None what names none."""
    told = {each["job"]["job_id"]: [event["message"] for event in each["events"]] for each in extractor["jobs"]}
    if extractor["no_job_id"]:
        told[None] = [event["message"] for event in extractor["no_job_id"]["events"]]
    return told


async def test_events_of_a_resource_are_grouped_by_extractor_and_job(api: httpx.AsyncClient, resource: str) -> None:
    told = await get(api, f"{resource}/events")
    assert (told["resource_id"], told["next"]) == ("d/1", None)
    assert {each["extractor_id"]: told_of(each) for each in told["extractors"]} == {
        "both": {"once": ["once"], None: ["not this one"]},
        "jobs": {"old": ["old", "old"], "new": ["new", "new"]},
        "bare": {None: ["first", "first words", "last words"]},
    }
    jobs = next(each for each in told["extractors"] if each["extractor_id"] == "jobs")["jobs"]
    assert [(each["job"]["job_id"], each["job"]["status"]) for each in jobs] == [("old", "STARTED"), ("new", "STARTED")]
    assert [event["position"] for event in jobs[0]["events"]] == [1, 2]
    assert await get(api, "/resources/nothing/events") == {"resource_id": "nothing", "extractors": [], "next": None}


async def test_of_long_jobs_the_latest_events_are_told_and_of_many_jobs_a_page(
    api: httpx.AsyncClient, resource: str
) -> None:
    (bare,) = (await get(api, f"{resource}/events", extractor="bare", events=2))["extractors"]
    assert told_of(bare) == {None: ["first words", "last words"]}
    (jobs,) = (await get(api, f"{resource}/events", extractor="jobs", events=1))["extractors"]
    assert [(each["events"][0]["position"], each["previous"]) for each in jobs["jobs"]] == [(2, 2), (2, 2)]
    earlier = await get(api, "/jobs/old/events", before=2)
    assert [event["position"] for event in earlier["events"]] == [1]

    pages = await all_pages(api, f"{resource}/events", "extractors", limit=1)
    assert [[told_of(each) for each in page] for page in pages] == [
        [{"once": ["once"], None: ["not this one"]}, {None: ["first", "first words", "last words"]}],
        [{"old": ["old", "old"]}],
        [{"new": ["new", "new"]}],
    ]


async def test_the_extractor_must_be_named(api: httpx.AsyncClient, resource: str) -> None:
    for path in ("jobs", "no-job-id"):
        assert_problem(await api.get(f"/api/v1{resource}/{path}"), 400, flaw=("query", "extractor"))


async def test_what_is_read_does_not_grow_with_what_a_resource_has_seen(
    api: httpx.AsyncClient, resource: str, trail: Database[Any]
) -> None:
    trail["jobs"].insert_many(
        [
            job_document(a_job(f"job-{number}", Status.ERROR, -number, extractor_id="jobs", resource_id="d/1"))
            for number in range(5000)
        ]
    )
    event = trail["extractions"].find_one({"message": "last words"})
    assert event is not None
    del event["_id"]
    trail["extractions"].insert_many([event | {"seq": number} for number in range(100, 5100)])
    trail.command("profile", 2)
    try:
        told = await get(api, resource)
        read = list(trail["system.profile"].find({"op": "command", "command.aggregate": {"$exists": True}}))
    finally:
        trail.command("profile", 0)
    counts = {each["extractor_id"]: each for each in told["extractors"]}
    assert counts["jobs"]["job_count"] == 1000
    assert counts["bare"]["no_job_id"]["event_count"] == 1000
    assert counts["jobs"]["latest_job"]["job_id"] == "new"
    assert len(read) == 2
    assert max(each["keysExamined"] for each in read) < 1200

"""The list of jobs: its filters, its pages, and how they hold while jobs are written."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.store.jobs.documents import job_document
from jobtrail.store.jobs.jobs import JobRepository
from tests.cli.support import store_updates, update
from tests.jobs import BEGUN, a_job, store
from tests.web.api.support import all_pages, assert_problem, get


def ids(page: dict[str, Any]) -> list[str]:
    return [job["job_id"] for job in page["jobs"]]


@pytest.fixture
def six_jobs(trail: Database[Any]) -> None:
    statuses = [Status.SUCCEEDED, Status.ERROR, Status.PROCESSING, Status.SUBMITTED, Status.ERROR, Status.STARTED]
    for number, status in enumerate(statuses):
        store(
            trail,
            a_job(
                f"job-{number}",
                status,
                number * 60,
                extractor_id=f"x{number % 2}",
                resource_id=f"r/{number // 2}",
                user_id=None if number == 5 else f"user-{number // 3}",
                message=f"page {number} of (many)",
            ),
        )


async def test_jobs_are_filtered(api: httpx.AsyncClient, six_jobs: None) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "543210"),
        ({"extractor": "x1"}, "531"),
        ({"resource": "r/1"}, "32"),
        ({"user": "user-0"}, "210"),
        ({"status": "error"}, "41"),
        ({"status": ["done", "START"]}, "50"),
        ({"status": "StatusMessage.processing", "extractor": "x0"}, "2"),
        ({"since": (BEGUN + timedelta(seconds=180)).isoformat()}, "543"),
        ({"until": "2026-11-22T00:02:00Z"}, "10"),
        ({"since": "2026-11-22T00:01", "until": "2026-11-22T01:03:00+01:00"}, "21"),
        ({"q": "PAGE 3"}, "3"),
        ({"q": "of (many)", "status": "ERROR"}, "41"),
        ({"q": "page . of"}, ""),
        ({"q": "R/2"}, "54"),
        ({"q": "user-1"}, "43"),
        ({"q": "job-"}, "543210"),
        ({"q": "job-1"}, "1"),
        ({"q": "job-1", "extractor": "x0"}, ""),
        ({"q": "\x00"}, ""),
    ]
    for parameters, expected in cases:
        page = await get(api, "/jobs", **parameters)
        assert [job_id[4:] for job_id in ids(page)] == list(expected), parameters
        assert page["next"] is None


async def test_an_age_filters_by_the_present(api: httpx.AsyncClient, trail: Database[Any]) -> None:
    now = datetime.now(UTC)
    for minutes in (1, 59, 121):
        store(trail, a_job(f"{minutes}", Status.ERROR, updated_at=now - timedelta(minutes=minutes)))
    assert ids(await get(api, "/jobs", since="2h")) == ["1", "59"]
    assert ids(await get(api, "/jobs", until="30m")) == ["59", "121"]


async def test_a_wrong_parameter_is_named(api: httpx.AsyncClient) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"status": ["ERROR", "fast"]}, "status.1"),
        ({"since": "yesterday"}, "since"),
        ({"until": "99999999999w"}, "until"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"stalled": "perhaps"}, "stalled"),
        ({"stauts": "ERROR"}, "stauts"),
        ({"q": "x" * 129}, "q"),
        ({"stalled": True, "status": "ERROR"}, ""),
    ]
    for parameters, name in cases:
        assert_problem(await api.get("/api/v1/jobs", params=parameters), 400, flaw=("query", name))
    for cursor in ("x", "====", "e30", "NwAAAARhdAAu", "\U0001f600", "AAAA" * 1000):
        assert_problem(await api.get("/api/v1/jobs", params={"cursor": cursor}), 400, "invalid cursor")


async def test_pages_follow_each_other_by_next_and_by_link(api: httpx.AsyncClient, trail: Database[Any]) -> None:
    """Of the same time are many: pyClowder's clock tells whole seconds."""
    store(trail, *[a_job(f"j/{number:02}", Status.ERROR, number // 7) for number in range(40)])
    for parameters in ({}, {"status": ["ERROR", "SUCCEEDED"]}, {"resource": "d-1", "since": "2026-11-01"}):
        pages = await all_pages(api, "/jobs", "jobs", limit=9, **parameters)
        assert [len(page) for page in pages] == [9, 9, 9, 9, 4]
        assert [job["job_id"] for page in pages for job in page] == [f"j/{number:02}" for number in range(39, -1, -1)]


async def test_while_jobs_are_updated_every_other_job_is_seen_exactly_once(
    api: httpx.AsyncClient, trail: Database[Any]
) -> None:
    store(trail, *[a_job(f"job-{number:03}", Status.PROCESSING, number // 5) for number in range(300)])
    touched: set[str] = set()

    def update_some(round_: int) -> None:
        """Update jobs of all ages, also those that stand right at the borders of pages."""
        for number in (round_ * 20, round_ * 20 + 1, 299 - round_ * 20, 299 - round_ * 20 - 1, round_ * 7 % 300):
            touched.add(f"job-{number:03}")
            store(trail, a_job(f"job-{number:03}", Status.PROCESSING, 1000 + round_))

    seen: list[str] = []
    answer = await api.get("/api/v1/jobs", params={"limit": 20})
    round_ = 0
    while True:
        seen += ids(answer.json())
        if "next" not in answer.links:
            break
        await asyncio.to_thread(update_some, round_)
        round_ += 1
        answer = await api.get(answer.links["next"]["url"])

    untouched = {f"job-{number:03}" for number in range(300)} - touched
    assert round_ > 5
    assert len(untouched) > 200
    assert sorted(job_id for job_id in seen if job_id in untouched) == sorted(untouched)
    assert len(seen) == len(set(seen))


async def test_a_deep_page_reads_as_little_as_the_first_one(api: httpx.AsyncClient, trail: Database[Any]) -> None:
    jobs = [a_job(f"job-{number:04}", Status.ERROR, number, extractor_id="x") for number in range(1000)]
    trail["jobs"].insert_many([job_document(job) for job in jobs])
    trail.command("profile", 2)
    try:
        for parameters in ({}, {"extractor": "x"}, {"status": ["ERROR", "STARTED"]}, {"resource": "d-1"}):
            await all_pages(api, "/jobs", "jobs", limit=100, **parameters)
            read = [
                (each["keysExamined"], each["docsExamined"])
                for each in trail["system.profile"].find({"ns": f"{trail.name}.jobs", "command.aggregate": "jobs"})
            ]
            trail.command("profile", 0)
            trail["system.profile"].drop()
            trail.command("profile", 2)
            assert len(read) == 10
            assert max(keys for keys, _ in read) <= 105
            assert max(documents for _, documents in read) <= 105
    finally:
        trail.command("profile", 0)


async def test_a_search_that_takes_too_long_is_given_up_with_advice(
    api: httpx.AsyncClient, trail: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store(trail, a_job("job", Status.ERROR))
    document = trail["jobs"].find_one()
    assert document is not None
    trail["jobs"].insert_many([document | {"_id": f"job-{number}"} for number in range(20_000)])
    trail["extractions"].insert_many(
        [{"job_id": "job", "position": number, "message": "words " * 20} for number in range(20_000)]
    )
    monkeypatch.setattr("jobtrail.store.jobs.jobs.SEARCH_LIMIT_S", 0.001)
    for path in ("/jobs", "/jobs/job/events"):
        assert_problem(await api.get(f"/api/v1{path}", params={"q": "nowhere"}), 400, "narrow the time range")
    assert len(ids(await get(api, "/jobs", q="job-777"))) == 1


async def test_a_job_is_shown_as_the_command_line_shows_it(api: httpx.AsyncClient, settings: Settings) -> None:
    await store_updates(
        settings,
        [
            update("a/b", "SUBMITTED: to ncsa.wordcount", user_id="alice"),
            update("a/b", "STARTED: go", 6),
            update("a/b", "SUCCEEDED: fine", 78),
            update(None, "DONE: nobody's", 5),
        ],
    )
    expected = {
        "job_id": "a/b",
        "extractor_id": "ncsa.wordcount",
        "resource_id": "resource-1",
        "user_id": "alice",
        "status": "SUCCEEDED",
        "stalled": False,
        "stall": None,
        "message": "fine",
        "percent": None,
        "attempts": 1,
        "submitted_at": "2026-11-22T00:14:36.000Z",
        "started_at": "2026-11-22T00:14:42.000Z",
        "updated_at": "2026-11-22T00:15:54.000Z",
        "finished_at": "2026-11-22T00:15:54.000Z",
        "elapsed_s": 72.0,
        "event_count": 3,
        "instance_id": None,
        "missing": [],
    }
    assert await get(api, "/jobs/a%2Fb") == expected
    page = await get(api, "/jobs")
    assert page["jobs"] == [expected]
    [group] = page["no_job_id"]
    assert (group["extractor_id"], group["event_count"], group["message"]) == ("ncsa.wordcount", 1, "nobody's")
    for parameters, groups in (
        ({"q": "NOBODY"}, 1),
        ({"q": "alice"}, 0),
        ({"resource": "resource-1"}, 1),
        ({"resource": "resource-2"}, 0),
        ({"extractor": "another"}, 0),
        ({"status": "ERROR"}, 0),
        ({"since": "2026-11-22T00:14:42Z"}, 0),
        ({"until": "2026-11-22T00:14:42Z"}, 1),
        ({"user": "alice"}, 0),
        ({"stalled": True}, 0),
    ):
        assert len((await get(api, "/jobs", **parameters))["no_job_id"]) == groups, parameters
    assert_problem(await api.get("/api/v1/jobs/nobody"), 404, "no job 'nobody'")


def silent(number: int) -> JobState:
    return a_job(f"silent-{number:03}", Status.STARTED, number)


async def test_stalled_jobs_are_found_behind_many_that_are_not(
    api: httpx.AsyncClient, trail: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    lively = [
        a_job(f"lively-{number}", Status.STARTED, updated_at=now, seen_at=now, extractor_id="y") for number in range(30)
    ]
    trail["monitors"].insert_one(
        {"_id": "any", "since": datetime(2026, 1, 1, tzinfo=UTC), "until": now + timedelta(hours=1)}
    )
    store(trail, *lively, *[silent(number) for number in range(5)], a_job("ended", Status.ERROR, 1))
    monkeypatch.setattr("jobtrail.operations.job_list._JOBS_PER_LOOK", 10)

    pages = await all_pages(api, "/jobs", "jobs", stalled=True, limit=2)
    assert [job["job_id"] for page in pages for job in page] == [f"silent-{number:03}" for number in range(4, -1, -1)]
    assert {job["stalled"] for page in pages for job in page} == {True}

    monkeypatch.setattr("jobtrail.operations.job_list._MAX_LOOKS", 2)
    pages = await all_pages(api, "/jobs", "jobs", stalled=True, limit=2)
    assert pages[0] == []
    assert len([job for page in pages for job in page]) == 5


async def test_the_list_holds_for_every_filter_while_a_page_is_cut_anywhere(
    trail: Database[Any], database: Any
) -> None:
    """The same as sorting all in memory, for pages of one."""
    jobs = [a_job(f"j{number}", list(Status)[number % 3], number % 4) for number in range(12)]
    store(trail, *jobs)
    repository = JobRepository(database)
    wanted = JobFilter(status=list(Status)[:2], since=BEGUN + timedelta(seconds=1))
    found: list[str] = []
    cursor = None
    while True:
        page = await repository.list(wanted, limit=1, cursor=cursor)
        found += [job.job_id for job in page.jobs]
        cursor = page.next
        if cursor is None:
            break
    matching = [job for job in jobs if job.status in wanted.statuses and job.updated_at > BEGUN]
    matching.sort(key=lambda job: (job.updated_at, job.job_id), reverse=True)
    assert found == [job.job_id for job in matching]

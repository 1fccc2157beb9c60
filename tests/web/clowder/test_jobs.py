from datetime import UTC, datetime, timedelta

import pytest

from jobtrail.models.jobs.status import Status
from tests.cli.support import START, update
from tests.jobs import a_job
from tests.jobs import store as store_jobs


def clock(after_s: float = 0) -> str:
    """A time as the API writes it."""
    return (START + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(after_s % 1 * 1000):03d}Z"


@pytest.fixture
def keep(mongo_client, settings):
    """Stores jobs without updates."""
    return lambda *jobs: store_jobs(mongo_client[settings.database], *jobs)


async def listed(get, **query) -> list[str]:
    """The ids of the jobs that a query finds."""
    page = await get("/api/v2/jobs", **{"limit": 100, **query})
    assert page["metadata"]["total_count"] == len(page["data"])
    return [job["id"] for job in page["data"]]


async def test_a_job_has_every_field_of_clowder_2_in_the_list_and_alone(store, get) -> None:
    await store(
        update("j-1", "SUBMITTED", user_id="alice@example.org"),
        update("j-1", "StatusMessage.start: Started processing.", 2),
        update("j-1", "StatusMessage.processing: Counting words", 3.5),
        update("j-1", "StatusMessage.done: Done processing.", 9.25),
    )

    page = await get("/api/v2/jobs")

    job = {
        "id": "j-1",
        "listener_id": "ncsa.wordcount",
        "resource_ref": {"collection": "files", "resource_id": "resource-1", "version": None},
        "creator": {
            "id": "alice@example.org",
            "email": "alice@example.org",
            "first_name": "",
            "last_name": "",
            "admin": False,
            "admin_mode": False,
            "read_only_user": False,
        },
        "parameters": None,
        "created": clock(0),
        "started": clock(2),
        "updated": clock(9.25),
        "finished": clock(9.25),
        "duration": 7.25,
        "latest_message": "Done processing.",
        "status": "SUCCEEDED",
    }
    assert page == {"metadata": {"total_count": 1, "skip": 0, "limit": 2}, "data": [job]}
    assert await get("/api/v2/jobs/j-1/summary") == job


async def test_what_is_not_known_of_a_job_yet_is_null_and_its_creator_is_an_object_all_the_same(store, get) -> None:
    await store(
        update("waiting", "SUBMITTED"),
        update("running", "STARTED", user_id="u-17"),
        update("running", "PROCESSING: half of it", 30),
    )

    waiting, running = [await get(f"/api/v2/jobs/{job_id}/summary") for job_id in ("waiting", "running")]

    assert [waiting[name] for name in ("started", "finished", "duration", "latest_message")] == [None] * 4
    assert (waiting["creator"]["id"], waiting["creator"]["email"]) == (None, None)
    assert (running["finished"], running["duration"], running["latest_message"]) == (None, 30, "half of it")
    assert (running["creator"]["id"], running["creator"]["email"]) == ("u-17", None)


async def test_each_status_has_clowders_word_and_is_found_by_it_in_any_case(keep, get) -> None:
    keep(*(a_job(status.value, status) for status in Status))

    page = await get("/api/v2/jobs", limit=100)

    words = {job["id"]: job["status"] for job in page["data"]}
    assert words == {status.value: status.value for status in Status} | {
        "SUBMITTED": "CREATED",
        "CANCELLED": "SKIPPED",
    }
    for word in set(words.values()):
        for written in (word, word.lower(), word.title()):
            assert set(await listed(get, status=written)) == {job_id for job_id in words if words[job_id] == word}
    assert set(await listed(get, status="start")) == {"STARTED"}
    assert len(await listed(get, status="")) == len(Status)
    assert await listed(get, status="CANCELLED") == await listed(get, status="^S.*") == []


async def test_jobs_come_by_their_creation_whichever_was_heard_of_last(store, get) -> None:
    await store(
        update("asked-for", "SUBMITTED", 10),
        update("started", "STARTED", 20),
        update("taken-back", "CANCELLED: nobody wanted it", 30),
        update("told-late", "STARTED", 50),
        update("told-late", "SUBMITTED", 40),
        update("asked-for", "STARTED", 100),
    )

    page = await get("/api/v2/jobs", limit=10)

    assert [(job["id"], job["created"]) for job in page["data"]] == [
        ("told-late", clock(40)),
        ("taken-back", clock(30)),
        ("started", clock(20)),
        ("asked-for", clock(10)),
    ]


async def test_created_means_one_whole_day_of_utc(keep, get) -> None:
    day = datetime(2026, 11, 22, tzinfo=UTC)
    moments = {
        "before": day - timedelta(milliseconds=1),
        "first": day,
        "last": day + timedelta(days=1, milliseconds=-1),
        "after": day + timedelta(days=1),
        "at-the-end-of-time": datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC),
    }
    keep(*(a_job(name, Status.SUCCEEDED, submitted_at=moment) for name, moment in moments.items()))

    assert await listed(get, created="2026-11-22") == ["last", "first"]
    assert await listed(get, created="2026-11-23") == ["after"]
    assert await listed(get, created="9999-12-31") == ["at-the-end-of-time"]
    assert await listed(get, created="0001-01-01") == []


async def test_pages_hold_every_job_once_even_where_all_were_created_at_once(keep, get) -> None:
    keep(*(a_job(f"j-{number:02}", Status.STARTED) for number in range(25)))

    found = []
    for skip in range(0, 30, 10):
        page = await get("/api/v2/jobs", skip=skip, limit=10)
        assert page["metadata"] == {"total_count": 25, "skip": skip, "limit": 10}
        found += [job["id"] for job in page["data"]]

    assert sorted(found) == [f"j-{number:02}" for number in range(25)]
    assert len((await get("/api/v2/jobs"))["data"]) == 2


async def test_the_newest_of_all_jobs_are_read_in_the_order_of_an_index(keep, get, mongo_client, settings) -> None:
    keep(*(a_job(f"j-{number:03}", Status.STARTED) for number in range(200)))
    trail = mongo_client[settings.database]
    trail.command("profile", 2)

    await get("/api/v2/jobs", skip=10, limit=5)

    trail.command("profile", 0)
    [read] = trail["system.profile"].find({"op": "query", "command.find": "jobs"})
    assert (read["keysExamined"], read.get("hasSortStage", False)) == (15, False)


async def test_each_filter_finds_what_it_names_and_all_together_what_they_have_in_common(keep, get) -> None:
    keep(
        a_job("j-1", Status.ERROR, extractor_id="x", resource_id="f-1", user_id="alice", submitted_at=START),
        a_job("j-2", Status.ERROR, extractor_id="y", resource_id="f-1", user_id="alice"),
        a_job("j-3", Status.STARTED, extractor_id="x", resource_id="d-1", user_id="bob"),
    )

    assert await listed(get, listener_id="x", created="2026-11-22") == ["j-1", "j-3"]
    assert await listed(get, user_id="bob") == ["j-3"]
    assert set(await listed(get, file_id="f-1")) == {"j-1", "j-2"}
    assert await listed(get, dataset_id="d-1") == await listed(get, dataset_id="d-1", file_id="d-1") == ["j-3"]
    assert await listed(get, dataset_id="d-1", file_id="f-1") == []
    assert await listed(get, listener_id="x", status="error", user_id="alice", file_id="f-1") == ["j-1"]
    for name in ("listener_id", "user_id", "file_id", "dataset_id"):
        assert await listed(get, **{name: ""}) == await listed(get, **{name: "no\0body"}) == []


async def test_a_resource_with_a_history_is_a_dataset(keep, get, mongo_client, settings) -> None:
    histories = mongo_client[settings.console_database]["wishlist_dataset_histories"]
    histories.insert_one({"dataset_id": "d-1", "status": "Pending"})
    keep(a_job("j-1", Status.STARTED, resource_id="d-1"), a_job("j-2", Status.STARTED, resource_id="f-1"))

    page = await get("/api/v2/jobs")

    shown = {job["id"]: job["resource_ref"]["collection"] for job in page["data"]}
    assert shown == {"j-1": "datasets", "j-2": "files"}
    assert (await get("/api/v2/jobs/j-1/summary"))["resource_ref"]["collection"] == "datasets"


async def test_updates_come_in_their_order_with_their_words_alone(store, get, mongo_client, settings) -> None:
    await store(
        update("j-1", "SUBMITTED"),
        update("j-1", "StatusMessage.start: Started processing.", 5),
        update("other", "STARTED"),
        update("j-1", "Downloading: file.txt", 3),
        update("j-1", "StatusMessage.retry: (#1) boom", 6, message_type="StatusMessage.retry", message="(#1) boom"),
        update("j-1", "DONE", 7),
    )

    updates = await get("/api/v2/jobs/j-1/updates")

    stored = mongo_client[settings.database]["extractions"].find({"job_id": "j-1", "position": {"$gt": 1}})
    assert [each.pop("id") for each in updates] == [event["id"] for event in stored.sort("position", 1)]
    assert updates == [
        {"job_id": "j-1", "timestamp": clock(5), "status": "Started processing."},
        {"job_id": "j-1", "timestamp": clock(3), "status": "Downloading: file.txt"},
        {"job_id": "j-1", "timestamp": clock(6), "status": "(#1) boom"},
        {"job_id": "j-1", "timestamp": clock(7), "status": "DONE"},
    ]


async def test_a_job_of_any_length_has_its_updates_read_whole(store, get) -> None:
    for count in (0, 1, 199, 200, 201, 450):
        job_id = f"of-{count}"
        await store(update(job_id, "SUBMITTED"), *(update(job_id, f'Step {n} "ö"\n') for n in range(count)))

        updates = await get(f"/api/v2/jobs/{job_id}/updates")

        assert [each["status"] for each in updates] == [f'Step {n} "ö"\n' for n in range(count)]


async def test_an_id_may_hold_a_slash_and_an_unknown_one_is_told_as_clowder_does(store, client, get) -> None:
    await store(update("batch/7", "STARTED: go"))

    assert (await get("/api/v2/jobs/batch%2F7/summary"))["id"] == "batch/7"
    assert [each["status"] for each in await get("/api/v2/jobs/batch%2F7/updates")] == ["go"]
    for path, job_id in (("batch", "batch"), ("%00", "\0"), ("5cb2d2d3a4be0f9fd3400001", "5cb2d2d3a4be0f9fd3400001")):
        for what in ("summary", "updates"):
            answer = await client.get(f"/api/v2/jobs/{path}/{what}")
            assert (answer.status_code, answer.json()) == (404, {"detail": f"Job {job_id} not found"})


async def test_an_absurd_parameter_is_refused_as_fastapi_does(client) -> None:
    arabic_digits = "2026-11-22".translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    absurd = {
        "skip": ["-1", "100001", str(2**63), "many"],
        "limit": ["0", "-1", "1001", str(10**30)],
        "created": ["", "yesterday", "2026-02-30", "0000-01-01", "1700000000", "2026-11-22T00:00:00", arabic_digits],
        "listener_id": ["x" * 513],
        "status": ["x" * 513],
    }
    for name, values in absurd.items():
        for value in values:
            answer = await client.get("/api/v2/jobs", params={name: value})

            assert answer.status_code == 422, (name, value)
            assert [problem["loc"] for problem in answer.json()["detail"]] == [["query", name]]

import asyncio
import json
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from tests.cli.support import START, JobTrail, store_updates, update

NOW = datetime.now(UTC)
AGO_S = (NOW - START).total_seconds()


async def test_jobs_are_listed_with_their_fields_and_what_names_no_job_apart(
    jobtrail: JobTrail, settings: Settings
) -> None:
    await store_updates(
        settings,
        [
            update("job-1", "SUBMITTED: asked", 0, user_id="alice"),
            update("job-1", "StatusMessage.start: Started processing.", 6),
            update("job-1", "StatusMessage.done: Done processing.", 78, percent=100),
            update(None, "StatusMessage.done: Done processing.", 3),
        ],
    )

    page = jobtrail.json("jobs")

    assert page["next"] is None
    assert page["jobs"] == [
        {
            "job_id": "job-1",
            "extractor_id": "ncsa.wordcount",
            "resource_id": "resource-1",
            "user_id": "alice",
            "status": "SUCCEEDED",
            "stalled": False,
            "stall": None,
            "message": "Done processing.",
            "percent": 100,
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
    ]
    [group] = page["no_job_id"]
    assert (group["extractor_id"], group["resource_id"], group["event_count"]) == ("ncsa.wordcount", "resource-1", 1)
    text = jobtrail.run("jobs").stdout
    assert "job-1" in text
    assert "1 min 12 s" in text
    assert "No job ID" in text


async def test_jobs_are_filtered_and_paged(jobtrail: JobTrail, settings: Settings) -> None:
    updates = []
    for number in range(6):
        fields = {"file_id": f"r{number % 2}", "user_id": f"u{number % 3}", "extractor_id": f"e{number // 3}"}
        updates.append(update(f"job-{number}", "STARTED: go", number * 60, **fields))
        if number % 2:
            updates.append(update(f"job-{number}", "ERROR: no", number * 60 + 1, **fields))
    await store_updates(settings, updates)

    def ids(*options: str) -> list[str]:
        return [job["job_id"][4:] for job in jobtrail.json("jobs", *options)["jobs"]]

    assert ids() == ["5", "4", "3", "2", "1", "0"]
    assert ids("--status", "error") == ["5", "3", "1"]
    assert ids("--status", "error", "--status", "Started", "--resource", "r1") == ["5", "3", "1"]
    assert ids("--user", "u1") == ["4", "1"]
    assert ids("--extractor", "e0", "--resource", "r0") == ["2", "0"]
    assert ids("--since", (START + timedelta(seconds=180)).isoformat()) == ["5", "4", "3"]
    assert ids("--until", (START + timedelta(seconds=180)).isoformat()) == ["2", "1", "0"]
    assert ids("--grep", "NO") == ["5", "3", "1"]
    pages, cursor = [], None
    while cursor is not None or not pages:
        page = jobtrail.json("jobs", "--limit", "4", *(["--cursor", cursor] if cursor else []))
        pages.append([job["job_id"][4:] for job in page["jobs"]])
        cursor = page["next"]
    assert pages == [["5", "4", "3", "2"], ["1", "0"]]
    assert jobtrail.run("jobs", "--cursor", "nonsense").returncode == 2
    for wrong in (("--since", "soon"), ("--status", "nearly"), ("--stalled", "--status", "error")):
        assert jobtrail.run("jobs", *wrong).returncode == 2
    assert "No job matches" in jobtrail.run("jobs", "--user", "nobody").stdout


async def test_stalled_jobs_are_found_page_by_page_and_say_why(jobtrail: JobTrail, settings: Settings) -> None:
    """Running jobs whose worker was never heard of, between jobs that are all right."""
    updates = []
    for number in range(7):
        moment_s = AGO_S - 4000 - number
        updates.append(update(f"job-{number}", "STARTED: go", moment_s))
        if number in (1, 4):
            updates.append(update(f"job-{number}", "SUCCEEDED: done", moment_s))
    await store_updates(settings, updates)

    found, cursor = [], None
    for _ in range(4):
        page = jobtrail.json("jobs", "--stalled", "--limit", "2", *(["--cursor", cursor] if cursor else []))
        found += [job["job_id"] for job in page["jobs"]]
        assert all(job["stalled"] and job["status"] == "STARTED" for job in page["jobs"])
        assert all(job["stall"]["evidence"] and job["stall"]["basis"] == "inferred" for job in page["jobs"])
        cursor = page["next"]
        if cursor is None:
            break
    assert found == ["job-0", "job-2", "job-3", "job-5", "job-6"]
    assert "stalled: no update for" in jobtrail.run("jobs", "--stalled").stdout


async def test_a_timeline_is_one_object_with_its_events_in_order(jobtrail: JobTrail, settings: Settings) -> None:
    await store_updates(
        settings,
        [
            update("job", "StatusMessage.start: go", 0),
            update("other", "StatusMessage.start: go", 0),
            update("job", "reading page 1", 2.5, percent=10),
            update("job", "StatusMessage.retry: again", 3),
            update("job", "StatusMessage.start: go", 3),
            update("job", "StatusMessage.done: fine", 9),
            update("job", "StatusMessage.processing: too late", 8),
        ],
    )

    told = jobtrail.json("timeline", "job")

    assert (told["job_id"], told["status"], told["stalled"], told["attempts"]) == ("job", "SUCCEEDED", False, 2)
    assert (told["elapsed_s"], told["event_count"]) == (9.0, 6)
    events = told["events"]
    assert [event["seq"] for event in events] == [1, 3, 4, 5, 6, 7]
    assert [event["position"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event["attempt"] for event in events] == [1, 1, 1, 2, 2, 2]
    assert [event["status"] for event in events] == [
        "STARTED",
        "PROCESSING",
        "RESUBMITTED",
        "STARTED",
        "SUCCEEDED",
        "PROCESSING",
    ]
    assert [event["late"] for event in events] == [False] * 5 + [True]
    assert (events[1]["message"], events[1]["percent"]) == ("reading page 1", 10)
    assert events[1]["event_time"] == events[1]["received_at"] == "2026-11-22T00:14:38.500Z"
    assert len({event["id"] for event in events}) == 6
    latest = jobtrail.json("timeline", "job", "--limit", "2")
    assert (latest["event_count"], latest["events"]) == (6, events[-2:])
    assert "4 earlier updates not shown" in jobtrail.run("timeline", "job", "--limit", "2").stdout


async def test_an_update_that_may_be_a_repetition_is_marked_in_the_timeline(
    jobtrail: JobTrail, settings: Settings, mongo_client: MongoClient[dict[str, Any]]
) -> None:
    step = update("job", "half of it", 5)
    await store_updates(settings, [update("job", "STARTED: go"), step, step, update("job", "DONE: well", 6)])
    (first, second) = mongo_client[settings.database]["extractions"].find({"message": "half of it"}).sort("seq")
    marked = {"$set": {"maybe_repeated": first["id"]}}
    mongo_client[settings.database]["extractions"].update_one({"_id": second["_id"]}, marked)

    told = jobtrail.json("timeline", "job")["events"]
    lines = jobtrail.run("timeline", "job").stdout.splitlines()

    assert [event["maybe_repeated"] for event in told] == [None, None, first["id"], None]
    (at,) = [number for number, line in enumerate(lines) if line.strip() == "↳ may be a repetition"]
    assert ["half of it" in line for line in lines[at - 2 : at + 2]] == [True, True, False, False]


async def test_updates_that_name_no_job_have_a_timeline_too(jobtrail: JobTrail, settings: Settings) -> None:
    await store_updates(settings, [update(None, f"step {number}", number) for number in range(3)])

    where = ("--resource", "resource-1", "--extractor", "ncsa.wordcount")
    told = jobtrail.json("timeline", *where)

    assert told["job_id"] is None
    assert [event["message"] for event in told["events"]] == ["step 0", "step 1", "step 2"]
    assert [event["attempt"] for event in told["events"]] == [None] * 3
    assert "step 2" in jobtrail.run("timeline", *where).stdout
    assert jobtrail.run("timeline", "job", *where).returncode == 2


def test_a_followed_timeline_goes_on_live_until_the_job_ends(jobtrail: JobTrail, settings: Settings) -> None:
    asyncio.run(store_updates(settings, [update("job", "STARTED: go"), update("job", "ERROR: no", 1)]))
    asyncio.run(store_updates(settings, [update("job", "STARTED: again", 2)]))
    processes = [
        subprocess.Popen(
            jobtrail.command("timeline", "job", "--follow", *options),
            env=jobtrail.environ({"PYTHONUNBUFFERED": "1"}),
            stdout=subprocess.PIPE,
            text=True,
        )
        for options in ([], ["--json"])
    ]
    as_text, as_lines = processes
    assert as_text.stdout
    assert as_lines.stdout
    lines = [json.loads(as_lines.stdout.readline()) for _ in range(3)]
    shown = ""
    while "again" not in shown:
        shown += as_text.stdout.readline()
    assert as_text.poll() is None
    assert as_lines.poll() is None

    asyncio.run(store_updates(settings, [update("job", "working", 130)]))
    lines.append(json.loads(as_lines.stdout.readline()))
    while "working" not in shown:
        shown += as_text.stdout.readline()
    asyncio.run(store_updates(settings, [update("job", "SUCCEEDED: fine", 131)]))

    rest, _ = as_lines.communicate(timeout=60)
    lines += [json.loads(line) for line in rest.splitlines()]
    shown += as_text.communicate(timeout=60)[0]
    assert [process.returncode for process in processes] == [0, 0]
    assert [line["message"] for line in lines] == ["go", "no", "again", "working", "fine"]
    assert [line["position"] for line in lines] == [1, 2, 3, 4, 5]
    assert "… 2 min 8 s of silence …" in shown
    assert "Slowest step: 2 min 8 s" in shown


def test_ctrl_c_ends_a_followed_timeline_without_a_traceback(jobtrail: JobTrail, settings: Settings) -> None:
    asyncio.run(store_updates(settings, [update("job", "STARTED: go")]))
    process = subprocess.Popen(
        jobtrail.command("timeline", "job", "--follow", "--json"),
        env=jobtrail.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline()

    process.send_signal(signal.SIGINT)

    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


async def test_verify_tells_what_differs_and_rebuild_mends_it(jobtrail: JobTrail, settings: Settings) -> None:
    await store_updates(settings, [update(f"job-{number}", "STARTED: go", number) for number in range(3)])
    async with Database(settings.require_mongo_url(), settings.database) as database:
        assert jobtrail.json("verify") == {"differences": [], "count": 0, "events": 3}
        await database.jobs.update_one({"_id": "job-1"}, {"$set": {"status": "SUCCEEDED"}})
        await database.jobs.delete_one({"_id": "job-2"})

    done = jobtrail.run("verify", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert sorted(difference["job_id"] for difference in told["differences"]) == ["job-1", "job-2"]
    assert told["count"] == 2
    assert "2 jobs differ from the events" in jobtrail.run("verify").stdout
    result = jobtrail.json("rebuild")
    assert (result["jobs"], result["events"], result["changed"], result["removed"]) == (3, 3, 2, 0)
    assert jobtrail.run("verify").returncode == 0

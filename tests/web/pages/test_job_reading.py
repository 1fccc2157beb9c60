"""How little is read of a job of 100,000 events to show its page."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database as Trail

from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.outline import MAX_ROUNDS, MAX_WHOLE
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.jobs.events import LINES_PER_PAGE, MAX_LETTERS, MAX_SEARCHED, EventLines
from jobtrail.store.jobs.outline import OutlineRepository
from jobtrail.store.jobs.query import EventFilter
from tests.jobs import BEGUN, a_job, store
from tests.web.conftest import Asking
from tests.web.pages.seen import seen
from tests.web.pages.trail import tell

COUNT = 100_000
SILENT_AFTER, SILENT_S = 70_123, 9000
SECOND_ATTEMPT = 40_001


@pytest.fixture
def trail(mongo_client: MongoClient[Any], settings: Settings, database: Database) -> Trail[Any]:
    return mongo_client[settings.database]


@pytest.fixture
def job(trail: Trail[Any]) -> JobState:
    """A job that says something every second, but for one long silence; the database itself makes its events."""
    later = {"$cond": [{"$gt": ["$position", SILENT_AFTER]}, SILENT_S, 0]}
    at_ms = {"$multiply": [1000, {"$add": ["$position", later]}]}
    events = {
        "_id": 0,
        "job_id": "long",
        "position": 1,
        "attempt": {"$cond": [{"$gte": ["$position", SECOND_ATTEMPT]}, 2, 1]},
        "late": {"$literal": False},
        "state": {"$cond": [{"$in": ["$position", [1, SECOND_ATTEMPT]]}, "STARTED", "PROCESSING"]},
        "start": {"$add": [BEGUN, at_ms]},
        "received_at": BEGUN,
        "message": {"$concat": ["Frame ", {"$toString": "$position"}]},
    }
    trail["seed"].insert_one({})
    trail["seed"].aggregate(
        [
            {"$project": {"_id": 0, "position": {"$range": [1, COUNT + 1]}}},
            {"$unwind": "$position"},
            {"$project": events},
            {"$out": "extractions"},  # it keeps the indexes, and takes less than half the time of $merge
        ]
    )
    fields = {"attempts": 2, "started_at": BEGUN, "finished_at": BEGUN + timedelta(seconds=COUNT + SILENT_S)}
    job = a_job("long", Status.SUCCEEDED, event_count=COUNT, **fields)
    store(trail, job)
    return job


@pytest.fixture
def examined(trail: Trail[Any]) -> Iterator[list[int]]:
    """How many documents and keys each read of events looks at."""
    reads: list[int] = []
    trail.command("profile", 2)
    yield reads
    trail.command("profile", 0)


def note(trail: Trail[Any], reads: list[int]) -> None:
    namespace = f"{trail.name}.extractions"
    found = trail["system.profile"].find({"ns": namespace, "op": {"$in": ["query", "getmore", "command"]}})
    reads.extend(max(each.get("docsExamined", 0), each.get("keysExamined", 0)) for each in found)


async def test_the_page_of_a_job_of_100_000_events_reads_few_of_them(
    asking: Asking, job: JobState, trail: Trail[Any], examined: list[int]
) -> None:
    page = seen(await asking().get("/jobs/long"))

    note(trail, examined)
    assert 1 <= len(examined) <= MAX_ROUNDS + 5
    assert sum(examined) < 3500, examined
    timeline = page.one(id="timeline").text
    assert "of 100,000 updates" in timeline
    # What matters is found all the same.
    assert "Slowest step: 2 h 30 min, 8 % of the run, after no. 70,123 Frame 70123" in timeline
    assert [row[0] for row in page.one(id="timeline").rows()[1:]] == ["Attempt 1", "Attempt 2"]
    assert page.one(id="timeline").link("Attempt 2") == f"/jobs/long?after={SECOND_ATTEMPT - 20}#e-{SECOND_ATTEMPT}"


async def test_a_job_that_grows_meanwhile_is_shown_as_it_was_when_it_was_read(database: Database) -> None:
    said = [(Status.PROCESSING, f"Frame {ago_s}", float(ago_s)) for ago_s in range(MAX_WHOLE + 500)]
    job = await tell(database, said, job="j")
    assert job is not None
    for count in (500, MAX_WHOLE + 400):
        job.event_count = count
        outline = await OutlineRepository(database).read(job)

        assert outline.points[-1].position == count
        assert outline.whole == (count == 500)
        assert (await EventLines(database).page(job, EventFilter())).last == count


async def test_every_page_of_events_and_of_a_search_reads_no_more_than_its_reach(
    database: Database, job: JobState, trail: Trail[Any], examined: list[int]
) -> None:
    lines = EventLines(database)

    deep = await lines.page(job, EventFilter(), after=50_000)
    assert [line.position for line in deep.lines] == list(range(50_001, 50_001 + LINES_PER_PAGE))
    assert {line.length_s for line in deep.lines} == {1}
    note(trail, examined)
    assert sum(examined) <= 2 * LINES_PER_PAGE

    searched = await lines.page(job, EventFilter(text="frame 123"))
    assert (searched.lines, searched.first, searched.last) == ([], COUNT - MAX_SEARCHED + 1, COUNT)
    onwards = await lines.page(job, EventFilter(text="frame 123"), after=0)
    assert onwards.first == 1
    assert [line.position for line in onwards.lines[:3]] == [123, 1230, 1231]
    assert onwards.last == MAX_SEARCHED
    assert await lines.page(job, EventFilter(statuses=[Status.STARTED]), before=SECOND_ATTEMPT) == await lines.page(
        job, EventFilter(statuses=[Status.STARTED], text="frame"), before=SECOND_ATTEMPT
    )
    note(trail, examined)
    assert max(examined) <= MAX_SEARCHED + 1


async def test_many_finds_are_told_page_by_page_in_both_directions(database: Database) -> None:
    job = await tell(database, [(Status.PROCESSING, f"Frame {ago_s}", float(ago_s)) for ago_s in range(450)], job="j")
    assert job is not None
    lines = EventLines(database)

    first = await lines.page(job, EventFilter(text="frame"), after=0)
    second = await lines.page(job, EventFilter(text="frame"), after=first.last)
    back = await lines.page(job, EventFilter(text="frame"), before=second.first)

    assert (first.first, first.last, second.first) == (1, LINES_PER_PAGE, LINES_PER_PAGE + 1)
    assert back == first


async def test_a_step_ends_with_the_next_event_in_order_and_messages_are_cut(database: Database) -> None:
    said = [
        (Status.STARTED, "é" * (MAX_LETTERS + 5), 100.0),
        (Status.SUCCEEDED, "done", 90.0),
        (Status.PROCESSING, "late", 89.0),
        (Status.PROCESSING, "late too", 88.0),
        (Status.STARTED, "again", 60.0),
    ]
    job = await tell(database, said, job="j")
    assert job is not None
    page = await EventLines(database).page(job, EventFilter())

    assert [(line.late, line.length_s) for line in page.lines] == [
        (False, 10),
        (False, 30),
        (True, None),
        (True, None),
        (False, None),
    ]
    assert (page.lines[0].message, page.lines[0].message_length) == ("é" * MAX_LETTERS, MAX_LETTERS + 5)
    line = await EventLines(database).line("j", 2)
    assert line is not None
    assert line.message == "done"
    assert await EventLines(database).line("j", 6) is None

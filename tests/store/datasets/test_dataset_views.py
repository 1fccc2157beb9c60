"""What people see of datasets: the lists, one dataset's story, and a start without the console."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from jobtrail.models.datasets.dataset import DatasetStatus, LogType, StatusSource
from jobtrail.models.datasets.seed import read_seed, seed_of_one
from jobtrail.models.errors import NotFoundError, SettingError
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import ChannelName
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.seed import DatasetSeeder, Planted
from jobtrail.store.datasets.story import DatasetStories, MomentKind
from jobtrail.store.datasets.views import DatasetViews
from jobtrail.store.keyset import Page
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.jobs import a_job
from tests.jobs import store as store_jobs
from tests.reconciler.bench import Bench
from tests.reconciler.messages import entry, news

NOW = datetime.now(UTC).replace(microsecond=0)
DAY_AGO = NOW - timedelta(days=1)
GROUP = ObjectId()


@pytest.fixture
async def views(console: Console) -> DatasetViews:
    await console.groups.insert_one({"_id": GROUP, "name": "Winter shoes", "training_schedule": "weekly"})
    return DatasetViews(console)


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def history(dataset_id: str, status: str = "Pending", **fields: Any) -> dict[str, Any]:
    return {
        "_id": ObjectId(),
        "dataset_id": dataset_id,
        "wishlist_to_group_id": GROUP,
        "status": status,
        "error_message": None,
        "created_at": minutes_ago(600),
        "updated_at": minutes_ago(300),
        **fields,
    }


def answer(status: str | None = None, *, since: float = 60, **fields: Any) -> dict[str, Any]:
    return {"status": status, "at": minutes_ago(1), "since": minutes_ago(since), **fields}


def log(of: dict[str, Any], minutes: float, event_type: str = "Status Update", **fields: Any) -> dict[str, Any]:
    """An entry as the console writes it; ours have more fields."""
    return {
        "wishlist_dataset_history_id": of["_id"],
        "wishlist_to_group_id": of["wishlist_to_group_id"],
        "event_type": event_type,
        "created_at": minutes_ago(minutes),
        **fields,
    }


async def walk(read: Callable[[str | None], Awaitable[Page[Any]]]) -> list[Sequence[Any]]:
    """Read all pages."""
    page = await read(None)
    pages = [page.rows]
    while page.next:
        page = await read(page.next)
        pages.append(page.rows)
    return pages


async def test_pending_datasets_come_with_their_group_those_without_news_for_longest_first(
    console: Console, views: DatasetViews
) -> None:
    await console.histories.insert_many(
        [
            history("young", updated_at=minutes_ago(1)),
            history("old", "Analyzing", updated_at=minutes_ago(90.5), progress=40),
            history("done", "Complete"),
            history("failed", "Failed"),
        ]
    )

    old, young = (await views.pending(limit=10)).rows

    assert (old.dataset_id, old.status, old.progress) == ("old", "Analyzing", 40.0)
    assert (old.group, old.training_schedule, old.flaw) == ("Winter shoes", "weekly", None)
    assert (old.created_at, old.updated_at) == (minutes_ago(600), minutes_ago(90.5))
    assert old.minutes_without_news(NOW) == 90
    assert young.dataset_id == "young"


async def test_only_open_datasets_without_news_for_so_long_are_stuck(console: Console, views: DatasetViews) -> None:
    await console.histories.insert_many(
        [
            history("just-not", updated_at=minutes_ago(119)),
            history("just", updated_at=minutes_ago(121), answers={"api": answer(problem="api_timeout", detail="10 s")}),
            history("ended", "Failed", updated_at=minutes_ago(500)),
            history("never-updated", updated_at=None, created_at=minutes_ago(400)),
            history("new", updated_at=None, created_at=minutes_ago(1)),
            history("undated", updated_at="yesterday"),
        ]
    )

    rows = (await views.stuck(before=minutes_ago(120), limit=10)).rows

    assert {row.dataset_id for row in rows} == {"just", "never-updated", "undated"}
    assert rows[-1].problem == "api_timeout: 10 s"
    counts = await views.counts(stuck_before=minutes_ago(120))
    assert (counts.open, counts.stuck, counts.unknown) == (5, 3, 0)


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"created_at": "2026-01-01"}, "2026-01-01"),
        ({"updated_at": 12}, "12"),
        ({"answers": "none"}, "items"),
        ({"answers": {"oracle": {}}}, "oracle"),
        ({"answers": {"api": {"status": "Nearly"}}}, "at"),
        ({"ruling": {"source": "api"}}, "reason"),
        ({"dataset_id": None, "created_at": None}, "None"),
    ],
)
async def test_a_broken_record_is_told_and_hides_no_other(
    console: Console, views: DatasetViews, fields: dict[str, Any], what: str
) -> None:
    await console.histories.insert_many([history("broken") | fields, history("sound")])

    rows = {row.dataset_id: row for row in (await views.pending(limit=10)).rows}

    assert rows.pop("sound").flaw is None
    [broken] = rows.values()
    assert what in (broken.flaw or "")
    assert broken.group == "Winter shoes"


async def test_a_group_that_is_gone_hides_no_dataset(console: Console, views: DatasetViews) -> None:
    await console.histories.insert_one(history("orphan", wishlist_to_group_id=17))

    [row] = (await views.pending(limit=10)).rows

    assert (row.dataset_id, row.group) == ("orphan", None)


async def test_pages_hold_every_dataset_once_whatever_types_dates_and_keys_have(
    console: Console, views: DatasetViews
) -> None:
    dates: list[Any] = [minutes_ago(5), minutes_ago(5), minutes_ago(7), None, None, "soon", 3, minutes_ago(5)]
    keys: list[Any] = [ObjectId(), 4, "four", ObjectId(), 5, ObjectId(), "six", "seven"]
    made = [
        history(f"ds-{number}", "Analyzing" if number % 2 else "Pending", _id=key, updated_at=date)
        for number, (key, date) in enumerate(zip(keys, dates, strict=True))
    ]
    missing = history("ds-missing")
    del missing["updated_at"]
    await console.histories.insert_many([*made, missing])

    for size in (1, 2, 3, 8):
        pages = await walk(lambda cursor, size=size: views.pending(limit=size, cursor=cursor))  # type: ignore[misc]
        found = [row.dataset_id for page in pages for row in page]
        assert sorted(found) == sorted(each["dataset_id"] for each in [*made, missing])
        assert all(len(page) == size for page in pages[:-1])


async def test_a_cursor_that_is_none_of_ours_is_refused(views: DatasetViews) -> None:
    for cursor in ("nonsense", "bm9uc2Vuc2U", "eyJhIjogMX0", "MTI", "é"):
        with pytest.raises(SettingError, match="invalid cursor"):
            await views.pending(limit=1, cursor=cursor)


async def test_errors_are_those_with_a_message_the_latest_first(console: Console, views: DatasetViews) -> None:
    await console.histories.insert_many(
        [
            history("first", "Failed", error_message="no images", updated_at=minutes_ago(30)),
            history("last", "Failed", error_message="no images either", updated_at=minutes_ago(3)),
            history("long-ago", "Failed", error_message="old", updated_at=minutes_ago(3000)),
            history("sound", "Complete", updated_at=minutes_ago(3)),
        ]
    )

    pages = await walk(lambda cursor: views.with_errors(since=DAY_AGO, limit=1, cursor=cursor))

    told = [(row.dataset_id, row.error_message) for page in pages for row in page]
    assert told == [("last", "no images either"), ("first", "no images")]


async def test_a_secret_in_the_consoles_texts_is_masked(console: Console, views: DatasetViews) -> None:
    words = "GET https://analyzer/datasets/1?key=hunter2 failed"
    await console.histories.insert_one(history("ds-1", "Failed", error_message=words, updated_at=minutes_ago(3)))

    [row] = (await views.with_errors(since=DAY_AGO, limit=10)).rows

    assert row.error_message == "GET https://analyzer/datasets/1?key=*** failed"


async def test_changes_and_failures_are_told_the_latest_first_whoever_wrote_them(
    console: Console, views: DatasetViews
) -> None:
    dataset = history("ds-1")
    await console.histories.insert_one(dataset)
    ours = {"dataset_id": "ds-1", "from": "Pending", "to": "Analyzing", "source": "api", "message": "m", "run_id": "r"}
    await console.creation_logs.insert_many(
        [
            log(dataset, 20, **ours),
            log(dataset, 10),
            log(dataset, 3000, **ours),
            log(dataset, 5, "Crawling"),
            log(dataset, 4, "Failure", message="status could not be updated"),
        ]
    )

    changes = (await views.logs(LogType.STATUS_UPDATE, since=DAY_AGO, limit=10)).rows
    [failure] = (await views.logs(LogType.FAILURE, since=DAY_AGO, limit=10)).rows

    consoles, our = changes
    assert (our.from_status, our.to_status, our.source, our.message, our.run_id) == (
        *("Pending", "Analyzing", "api", "m", "r"),
    )
    assert (consoles.dataset_id, consoles.group, consoles.from_status) == ("ds-1", "Winter shoes", None)
    assert (failure.dataset_id, failure.message) == ("ds-1", "status could not be updated")
    pages = await walk(lambda cursor: views.logs(LogType.STATUS_UPDATE, since=DAY_AGO, limit=1, cursor=cursor))
    assert [page[0].key for page in pages] == [consoles.key, our.key]


@pytest.mark.parametrize(
    ("status", "answers", "disputed"),
    [
        ("Analyzing", {}, False),
        ("Analyzing", {"api": answer("Analyzing"), "events": answer("Analyzing")}, False),
        ("Analyzing", {"api": answer("Pending"), "events": answer("Analyzing")}, True),
        ("Analyzing", {"api": answer("Analyzing"), "events": answer("Failed")}, True),
        ("Complete", {"api": answer("Analyzing")}, True),
        ("Complete", {"events": answer(None), "api": answer("Complete")}, False),
        ("Analyzing", {"api": answer(problem="api_timeout"), "events": answer("Analyzing")}, False),
        ("Analyzing", {"api": answer(problem="api_not_found"), "events": answer("Analyzing")}, True),
        ("Analyzing", {"api": answer(problem="api_unknown_status")}, True),
    ],
)
async def test_a_dataset_is_disputed_when_a_source_says_something_else_than_is_stored(
    console: Console, views: DatasetViews, status: str, answers: dict[str, Any], disputed: bool
) -> None:
    await console.histories.insert_one(history("ds-1", status, answers=answers))

    found = (await views.disputed(limit=10)).rows

    assert [row.dataset_id for row in found] == ["ds-1"] * disputed


async def test_a_dispute_tells_who_says_what_since_when_and_who_won(console: Console, views: DatasetViews) -> None:
    ruling = {"source": "api", "reason": "the API says Complete", "at": minutes_ago(1)}
    answers = {"api": answer("Complete", since=10), "events": answer("Analyzing", since=50)}
    await console.histories.insert_one(history("ds-1", "Complete", answers=answers, ruling=ruling))

    [row] = (await views.disputed(limit=10)).rows

    assert {source: told.status for source, told in row.answers.items()} == {
        StatusSource.API: DatasetStatus.COMPLETE,
        StatusSource.EVENTS: DatasetStatus.ANALYZING,
    }
    assert row.said_since == minutes_ago(10)
    assert row.ruling is not None
    assert (row.ruling.source, row.ruling.reason) == (StatusSource.API, "the API says Complete")


async def test_lists_of_many_datasets_read_no_more_than_a_page(console: Console, views: DatasetViews) -> None:
    """10,000 pending ones; the database tells how much it looked at."""
    await console.histories.insert_many(
        [history(f"ds-{number}", updated_at=minutes_ago(number), error_message="e") for number in range(10_000)]
    )
    page = await views.pending(limit=50)
    page = await views.pending(limit=50, cursor=page.next)
    assert [row.dataset_id for row in page.rows] == [f"ds-{number}" for number in range(9949, 9899, -1)]
    database = console.database.client[console.histories.database.name]
    await database.command("profile", 2)
    try:
        await views.pending(limit=50, cursor=page.next)
        await views.stuck(before=minutes_ago(120), limit=50, cursor=page.next)
        await views.with_errors(since=minutes_ago(5000), limit=50)
    finally:
        await database.command("profile", 0)
    reads = await database["system.profile"].find({"command.aggregate": "wishlist_dataset_histories"}).to_list()
    assert len(reads) == 3
    assert all(int(str(read["docsExamined"])) <= 300 for read in reads), [read["docsExamined"] for read in reads]


async def test_a_story_tells_everything_of_one_dataset_in_time_order(
    console: Console, views: DatasetViews, bench: Bench
) -> None:
    earlier = [
        {"source": "api", **answer("Pending"), "at": minutes_ago(500)},
        {"source": "api", **answer(problem="api_timeout", detail="10 s"), "at": minutes_ago(90)},
    ]
    dataset = history("ds-1", "Complete", earlier_answers=earlier, answers={"api": answer("Complete")})
    await console.histories.insert_many([dataset, history("ds-2")])
    update = {"from": "Analyzing", "to": "Complete", "source": "api", "message": "the API says Complete"}
    await console.creation_logs.insert_many(
        [log(dataset, 400, "Crawling", message="begun"), log(dataset, 30, **update), log(history("ds-3"), 1)]
    )
    started = {"resource_id": "ds-1", "extractor_id": "ocr", "started_at": minutes_ago(100)}
    done = a_job("job-1", Status.SUCCEEDED, **started | {"updated_at": minutes_ago(80)})
    store_jobs(bench.trail, done, a_job("job-2", Status.SUCCEEDED, resource_id="ds-2"))
    batch_job = {"dataset_id": "ds-1", "viewpoint": "front", "job_id": "batch-1", "status": "Running"}
    dates = {"created_at": minutes_ago(29), "updated_at": minutes_ago(20)}
    await console.batch_jobs.insert_one({**batch_job, **dates})
    await console.notifications.insert_one(
        {"dataset_id": "ds-1", "user_id": "ada", "level": "success", "title": "Ready", "created_at": minutes_ago(28)}
    )
    await OutboxRepository(console.database).insert([entry(ChannelName.EMAIL, news("ds-1"))])
    await console.database.outbox.update_one({"dataset_id": "ds-1"}, {"$set": {"created_at": minutes_ago(27)}})

    story = await DatasetStories(console).read("ds-1")

    assert (story.dataset.group, story.status_since, story.cut) == ("Winter shoes", minutes_ago(30), [])
    told = [(moment.kind, moment.state, moment.subject) for moment in story.moments]
    assert told == [
        (MomentKind.ASKED, None, "Winter shoes"),
        (MomentKind.ANSWER, "Pending", "api"),
        (MomentKind.LOG, None, None),
        (MomentKind.JOB, "STARTED", "ocr"),
        (MomentKind.ANSWER, None, "api"),
        (MomentKind.JOB, "SUCCEEDED", "ocr"),
        (MomentKind.LOG, "Complete", "api"),
        (MomentKind.BATCH_JOB, None, "front"),
        (MomentKind.NOTIFICATION, "success", "ada"),
        (MomentKind.DELIVERY, "waiting", "email to ada@example.org"),
        (MomentKind.BATCH_JOB, "Running", "front"),
    ]
    assert [moment.at for moment in story.moments] == sorted(moment.at for moment in story.moments if moment.at)
    timeout = story.moments[4]
    assert (timeout.message, timeout.facts["problem"]) == ("10 s", "api_timeout")


async def test_a_story_of_a_broken_record_is_told_as_far_as_it_goes(console: Console, views: DatasetViews) -> None:
    broken = history("ds-1", "Nearly", created_at="yesterday", updated_at=None)
    await console.histories.insert_one(broken)
    await console.creation_logs.insert_one(log(broken, 3, "Crawling") | {"created_at": "yesterday"})

    story = await DatasetStories(console).read("ds-1")

    assert story.dataset.status == "Nearly"
    assert story.dataset.flaw
    assert [(moment.kind, moment.at) for moment in story.moments] == [(MomentKind.ASKED, None), (MomentKind.LOG, None)]


async def test_there_is_no_story_of_an_unknown_dataset(console: Console, views: DatasetViews) -> None:
    with pytest.raises(NotFoundError, match="ds-9"):
        await DatasetStories(console).read("ds-9")


SEED = {
    "groups": [
        {
            "name": "Boots",
            "training_schedule": "manual",
            "is_manual_request": True,
            "users": [{"id": "ada", "email": "ada@example.org"}, {"id": 7}],
            "viewpoints": ["front"],
            "required_extractors": ["ocr"],
        },
        {"name": "Hats"},
    ],
    "datasets": [{"dataset_id": "ds-1", "group": "Boots"}, {"dataset_id": "ds-2", "group": "Winter shoes"}],
    "crawler_schedules": [{"group": "Boots"}],
}


async def test_a_seed_makes_what_is_not_there_and_leaves_the_rest(console: Console, views: DatasetViews) -> None:
    seeder, seed = DatasetSeeder(console), read_seed(json.dumps(SEED))

    first = await seeder.plant(seed)
    await console.histories.update_one({"dataset_id": "ds-1"}, {"$set": {"status": "Complete"}})
    await console.crawler_schedules.update_one({}, {"$set": {"status": "cancelled"}})
    second = await seeder.plant(seed)

    assert (first.groups, first.datasets, first.crawler_schedules) == (
        *(Planted(made=2, known=0), Planted(made=2, known=0), Planted(made=1, known=0)),
    )
    assert (second.groups, second.datasets, second.crawler_schedules) == (
        *(Planted(made=0, known=2), Planted(made=0, known=2), Planted(made=0, known=1)),
    )
    boots = await console.groups.find_one({"name": "Boots"})
    assert boots is not None
    assert boots["users"] == [{"id": "ada", "email": "ada@example.org"}, {"id": "7", "email": None}]
    assert (boots["training_schedule"], boots["is_manual_request"], boots["viewpoints"]) == ("manual", True, ["front"])
    ds_1, ds_2 = await console.histories.find().sort("dataset_id", 1).to_list()
    assert (ds_1["status"], ds_1["wishlist_to_group_id"]) == ("Complete", boots["_id"])
    assert (ds_2["status"], ds_2["wishlist_to_group_id"]) == ("Pending", GROUP)
    assert [each["status"] for each in await console.crawler_schedules.find().to_list()] == ["cancelled"]


async def test_seeds_at_once_make_nothing_twice(console: Console, views: DatasetViews) -> None:
    seeds = [DatasetSeeder(console).plant(read_seed(json.dumps(SEED))) for _ in range(4)]

    harvests = await asyncio.gather(*seeds)

    assert sum(harvest.datasets.made for harvest in harvests) == 2
    assert sum(harvest.groups.made for harvest in harvests) == 2
    assert await console.groups.count_documents({}) == 3


async def test_a_seed_with_one_bad_record_makes_nothing(console: Console, views: DatasetViews) -> None:
    await console.groups.insert_many([{"name": "Twins"}, {"name": "Twins"}])
    for group, words in (("Nowhere", r"datasets\[2\].group: there is no group 'Nowhere'"), ("Twins", "2 groups")):
        more = [*SEED["datasets"], {"dataset_id": "ds-3", "group": group}]
        with pytest.raises(SettingError, match=words):
            await DatasetSeeder(console).plant(read_seed(json.dumps(SEED | {"datasets": more})))

    assert await console.histories.count_documents({}) == 0
    assert await console.groups.count_documents({"name": "Boots"}) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        (b"\xff", "JSON"),
        ('{"dataset": []}', "dataset: Extra"),
        ('{"datasets": [{"dataset_id": "a", "group": "g"}, {"group": "g"}]}', "datasets[1].dataset_id: Field required"),
        ('{"datasets": [{"dataset_id": "/etc", "group": "g"}]}', "datasets[0].dataset_id: '/etc' is not a dataset id"),
        ('{"datasets": [{"dataset_id": "a", "group": " "}]}', "datasets[0].group: "),
        (
            '{"groups": [{"name": "g", "users": [{"id": "a", "email": "a"}]}]}',
            "groups[0].users[0].email: 'a' is not a mail address",
        ),
        ('{"groups": [{"name": "g"}, {"name": "g "}]}', "groups: name 'g' comes more than once"),
        (
            '{"datasets": [{"dataset_id": "a", "group": "g"}, {"dataset_id": "a", "group": "h"}]}',
            "dataset_id 'a' comes",
        ),
        ('{"crawler_schedules": [{"group": "g", "type": "weekly"}]}', "crawler_schedules[0].type: "),
        ('{"groups": [1, 2, 3, 4, 5]}', "(and 2 more)"),
    ],
)
def test_a_seed_that_is_none_names_the_record_and_the_field(text: str | bytes, words: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_seed(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_one_dataset_can_be_asked_for_with_its_group(console: Console, views: DatasetViews) -> None:
    seed = seed_of_one("ds-1", group="Boots", training_schedule="manual", users={"ada": None}, viewpoints=["front"])

    await DatasetSeeder(console).plant(seed)

    [row] = (await views.pending(limit=10)).rows
    assert (row.dataset_id, row.status, row.group, row.training_schedule) == ("ds-1", "Pending", "Boots", "manual")

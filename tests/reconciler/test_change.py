"""A dataset's change is whole or absent: history, log, batch jobs, notifications, clean-up and messages."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from jobtrail.models.datasets.change import Change, News
from jobtrail.models.datasets.dataset import Answer, DatasetStatus, History, StatusSource
from jobtrail.models.errors import ChangeRefusedError, NotFoundError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.configured import channels_on
from jobtrail.reconciler.decision import decide
from jobtrail.reconciler.planner import plan_change
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.datasets import DatasetRepository
from tests.reconciler.bench import NOTHING, Bench

NEVER = {"never": {"$exists": True}}


@pytest.fixture
def told(settings: Settings) -> Settings:
    """Settings with every channel on."""
    return settings.model_copy(
        update={
            "slack_token": SecretStr("xoxb-test"),
            "slack_channel": "C1",
            "smtp_url": SecretStr("smtp://127.0.0.1:1"),
            "pusher_url": SecretStr("http://key:secret@127.0.0.1:1/apps/1"),
        }
    )


async def plan(datasets: DatasetRepository, settings: Settings, dataset_id: str, status: str = "Complete") -> Change:
    history = await datasets.get(dataset_id)
    groups, _ = await datasets.groups([history.group_key])
    group = groups[history.group_key]
    now = datetime.now(UTC)
    message = "out of memory" if status == "Failed" else None
    answer = Answer(source=StatusSource.API, at=now, status=DatasetStatus(status), error_message=message)
    decision = decide(history, answer, None)
    return plan_change(history, group, decision, [answer], run_id="run-1", at=now, channels=channels_on(settings))


def manual_group(bench: Bench) -> object:
    group = bench.group(
        training_schedule="manual", is_manual_request=True, viewpoints=["front", "side"], required_extractors=[]
    )
    bench.schedules.insert_one({"wishlist_to_group_id": group, "type": "once", "status": "scheduled"})
    bench.schedules.insert_one({"wishlist_to_group_id": group, "type": "daily", "status": "scheduled"})
    return group


async def test_a_completion_is_stored_with_everything_that_follows(
    console: Console, bench: Bench, told: Settings
) -> None:
    bench.dataset("d-1", manual_group(bench), status="Analyzing")
    datasets = DatasetRepository(console)
    made = await datasets.apply([await plan(datasets, told, "d-1")])
    assert [change.history.dataset_id for change in made] == ["d-1"]
    history = bench.history("d-1")
    assert (history["status"], history["progress"], history["error_message"]) == ("Complete", 100, None)
    assert history["ruling"]["source"] == "api"
    assert history["answers"]["api"]["status"] == "Complete"
    (entry,) = bench.logs.find()
    assert (entry["event_type"], entry["from"], entry["to"]) == ("Status Update", "Analyzing", "Complete")
    assert entry["wishlist_dataset_history_id"] == history["_id"]
    jobs = list(bench.batch_jobs.find())
    assert {job["viewpoint"] for job in jobs} == {"front", "side"}
    assert len({job["job_id"] for job in jobs}) == 2
    notes = list(bench.notifications.find())
    assert {(note["user_id"], note["level"], note["read_at"]) for note in notes} == {
        ("ada", "success", None),
        ("bob", "success", None),
    }
    assert {(entry["channel"], entry["recipient"]) for entry in bench.outbox.find()} == {
        ("slack", "C1"),
        ("email", "ada@example.org"),
        ("email", "bob@example.org"),
        ("pusher", "private-dataset-d-1"),
        ("pusher", "private-user-ada"),
        ("pusher", "private-user-bob"),
    }
    group = bench.groups.find_one()
    assert group is not None
    assert group["is_manual_request"] is False
    assert {each["type"]: each["status"] for each in bench.schedules.find()} == {
        "once": "cancelled",
        "daily": "scheduled",
    }


async def test_a_failure_keeps_its_message_and_starts_nothing(console: Console, bench: Bench, told: Settings) -> None:
    bench.dataset("d-1", manual_group(bench))
    datasets = DatasetRepository(console)
    await datasets.apply([await plan(datasets, told, "d-1", "Failed")])
    history = bench.history("d-1")
    assert (history["status"], history["error_message"]) == ("Failed", "out of memory")
    assert bench.effects() == {**NOTHING, "changed": 1, "logs": 1, "notifications": 2, "outbox": 6}
    assert all("out of memory" in note["message"] for note in bench.notifications.find())
    group = bench.groups.find_one()
    assert group is not None
    assert group["is_manual_request"] is True


async def test_beginning_to_be_analyzed_tells_nobody(console: Console, bench: Bench, told: Settings) -> None:
    bench.dataset("d-1", manual_group(bench))
    datasets = DatasetRepository(console)
    await datasets.apply([await plan(datasets, told, "d-1", "Analyzing")])
    assert bench.effects() == {**NOTHING, "changed": 1, "logs": 1}


@pytest.mark.parametrize(
    ("collection", "where", "kind"),
    [
        ("wishlist_dataset_histories", "console", AlertKind.UPDATE_FAILED),
        ("wishlist_dataset_creation_logs", "console", AlertKind.LOG_FAILED),
        ("batch_jobs_vps", "analyzer", AlertKind.BATCH_JOB_FAILED),
        ("notifications", "console", AlertKind.NOTIFICATION_FAILED),
        ("wishlist_to_groups", "console", AlertKind.CLEAN_UP_FAILED),
        ("crawler_schedules", "console", AlertKind.CLEAN_UP_FAILED),
        ("outbox", "trail", AlertKind.OUTBOX_FAILED),
    ],
)
async def test_a_refused_step_takes_the_whole_change_back(
    console: Console, bench: Bench, told: Settings, collection: str, where: str, kind: AlertKind
) -> None:
    bench.dataset("d-1", manual_group(bench))
    datasets = DatasetRepository(console)
    change = await plan(datasets, told, "d-1")
    bench.refuse(collection, NEVER, database=where)
    with pytest.raises(ChangeRefusedError) as refused:
        await datasets.apply([change])
    assert refused.value.step == kind
    assert bench.history("d-1")["status"] == "Pending"
    assert bench.effects() == NOTHING
    bench.refuse(collection, {}, database=where)
    assert len(await datasets.apply([change])) == 1


async def test_a_change_of_a_status_that_is_no_longer_so_is_not_made(
    console: Console, bench: Bench, told: Settings
) -> None:
    group = manual_group(bench)
    bench.dataset("d-1", group)
    bench.dataset("d-2", group)
    datasets = DatasetRepository(console)
    changes = [await plan(datasets, told, dataset_id) for dataset_id in ("d-1", "d-2")]
    bench.histories.update_one({"dataset_id": "d-1"}, {"$set": {"status": "Failed"}})
    made = await datasets.apply(changes)
    assert [change.history.dataset_id for change in made] == ["d-2"]
    assert bench.history("d-1")["status"] == "Failed"
    assert {note["dataset_id"] for note in bench.notifications.find()} == {"d-2"}


async def test_of_two_that_make_the_same_change_one_makes_it(console: Console, bench: Bench, told: Settings) -> None:
    ids = bench.datasets(20)
    repositories = [DatasetRepository(console) for _ in range(3)]
    changes = [await plan(repositories[0], told, dataset_id) for dataset_id in ids]

    async def apply_each(datasets: DatasetRepository) -> Sequence[Change]:
        return [made for change in changes for made in await datasets.apply([change])]

    made = await asyncio.gather(*(apply_each(datasets) for datasets in repositories))
    assert sum(len(each) for each in made) == 20
    assert bench.effects() == {**NOTHING, "changed": 20, "logs": 20, "notifications": 40, "outbox": 120}


async def test_news_of_a_dataset_that_changed_meanwhile_are_left_out(console: Console, bench: Bench) -> None:
    bench.dataset("d-1")
    datasets = DatasetRepository(console)
    history = await datasets.get("d-1")
    bench.histories.update_one({"dataset_id": "d-1"}, {"$set": {"status": "Complete"}})
    await datasets.note([news(history, "Analyzing")])
    assert "answers" not in bench.history("d-1")


def news(history: History, status: str, progress: float | None = None) -> News:
    answer = Answer(source=StatusSource.API, at=datetime.now(UTC), status=DatasetStatus(status), progress=progress)
    return News(history=history, answers=[answer], progress=progress)


async def test_an_answer_is_kept_with_the_time_since_which_it_is_so(console: Console, bench: Bench) -> None:
    bench.dataset("d-1", status="Analyzing")
    datasets = DatasetRepository(console)
    for progress in (10, 10, 20):
        await datasets.note([news(await datasets.get("d-1"), "Analyzing", progress)])
    history = bench.history("d-1")
    assert [answer["progress"] for answer in history["earlier_answers"]] == [10, 20]
    answer = history["answers"]["api"]
    assert answer["since"] < answer["at"]
    assert history["progress"] == 20
    assert history["updated_at"] == answer["at"]


async def test_an_answer_that_tells_nothing_new_leaves_the_dataset_as_old_as_it_is(
    console: Console, bench: Bench
) -> None:
    bench.dataset("d-1", status="Analyzing", progress=10)
    before = bench.history("d-1")["updated_at"]
    datasets = DatasetRepository(console)
    await datasets.note([news(await datasets.get("d-1"), "Analyzing", 10)])
    assert bench.history("d-1")["updated_at"] == before


async def test_a_record_that_is_no_history_does_not_hide_the_others(console: Console, bench: Bench) -> None:
    bench.dataset("d-1")
    bench.histories.insert_one({"dataset_id": "d-2", "status": "Pending"})
    bench.dataset("d-3")
    read = [chunk async for chunk in DatasetRepository(console).open()]
    assert {history.dataset_id for histories, _ in read for history in histories} == {"d-1", "d-3"}
    assert len([error for _, broken in read for error in broken]) == 1


async def test_a_dataset_that_is_not_there_is_told_so(console: Console) -> None:
    with pytest.raises(NotFoundError, match="'d-9'"):
        await DatasetRepository(console).get("d-9")

"""One run of `dataset:get-status`: what it does in the good case, and every row of the error boxes."""

from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from structlog.testing import capture_logs

from jobtrail.models.errors import BusyError, NotFoundError, RecordError, SettingError, StoreError
from jobtrail.models.jobs.status import Status
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.notifications.outbox import RunSummary
from jobtrail.models.settings import Settings
from jobtrail.reconciler.report import COMMAND
from jobtrail.reconciler.service import ReconcilerParts, reconciler_parts
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan, Trouble
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.datasets import DatasetRepository
from jobtrail.store.leases.lease import Lease
from tests.jobs import BEGUN, a_job, store
from tests.reconciler.bench import NOTHING, Bench
from tests.reconciler.servers.slack_server import CHANNEL, slack_server
from tests.reconciler.servers.slack_server import TOKEN as SLACK_TOKEN

pytestmark = pytest.mark.usefixtures("console")

Log = Sequence[MutableMapping[str, Any]]
DONE = Plan(pending_s=0, analyzing_s=0)
BROKEN = Plan(pending_s=0, analyzing_s=0, error_message="no images in it")
AT_WORK = Plan(pending_s=0, analyzing_s=1000)
WAITING = Plan(pending_s=1000)
NEVER = {"never": {"$exists": True}}


@dataclass(slots=True)
class Told:
    """A run's summary and its log."""

    summary: RunSummary
    log: Log

    def actions(self) -> list[str]:
        return [record["action"] for record in self.log if "action" in record]


@asynccontextmanager
async def parts_of(settings: Settings) -> AsyncIterator[ReconcilerParts]:
    async with reconciler_parts(settings, CollectorRegistry()) as parts:
        yield parts


async def run(settings: Settings, dataset_id: str | None = None) -> Told:
    async with parts_of(settings) as parts, parts.runner() as runner:
        with capture_logs() as log:
            summary = await runner.run(dataset_id)
    return Told(summary=summary, log=log)


def alerts(bench: Bench) -> list[dict[str, Any]]:
    return [entry["body"] for entry in bench.outbox.find({"body.type": "alert"})]


# --- step 1: start and retrieval ---


async def test_no_pending_datasets_is_success_and_says_so(asking: Settings, bench: Bench) -> None:
    bench.dataset("d-1", status="Complete")
    told = await run(asking)
    assert told.summary.checked == 0
    assert "dataset.nothing_to_do" in told.actions()
    assert bench.outbox.count_documents({}) == 0


@pytest.mark.parametrize(("dataset_id", "error"), [("no/id", SettingError), ("d-9", NotFoundError)])
async def test_an_invalid_dataset_id_is_logged_and_alerted(
    asking: Settings, bench: Bench, dataset_id: str, error: type[Exception]
) -> None:
    async with parts_of(asking) as parts, parts.runner() as runner:
        with capture_logs() as log, pytest.raises(error):
            await runner.run(dataset_id)
    assert AlertKind.INVALID_DATASET_ID.action in [record["action"] for record in log]
    (alert,) = alerts(bench)
    assert alert["kind"] == AlertKind.INVALID_DATASET_ID
    assert dataset_id in alert["cause"]


async def test_only_the_dataset_that_is_asked_for_is_checked(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    for dataset_id in ("d-1", "d-2"):
        bench.dataset(dataset_id)
        simulator.add(dataset_id, AT_WORK)
    told = await run(asking, "d-2")
    assert told.summary.checked == 1
    assert bench.statuses() == {"d-1": "Pending", "d-2": "Analyzing"}
    assert set(simulator.counts.requests) == {"d-2"}


async def test_a_dataset_that_has_ended_is_nothing_to_monitor(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", status="Failed")
    told = await run(asking, "d-1")
    assert told.summary.checked == 0
    assert not simulator.counts.requests


# --- step 2: asking the API ---


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble(status_code=404), AlertKind.API_NOT_FOUND),
        (Trouble(status_code=500), AlertKind.API_SERVICE_ERROR),
        (Trouble(disconnects=True), AlertKind.API_SERVICE_ERROR),
        (Trouble(delay_s=60), AlertKind.API_TIMEOUT),
        (Trouble(status_code=200, body="<html>"), AlertKind.API_INVALID_ANSWER),
        (Trouble(status_code=200, body='{"status": "sleeping"}'), AlertKind.API_UNKNOWN_STATUS),
    ],
)
async def test_one_datasets_error_is_logged_and_alerted_and_stops_no_other(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator, trouble: Trouble, kind: AlertKind
) -> None:
    for dataset_id in ("d-1", "d-2", "d-3"):
        bench.dataset(dataset_id)
        simulator.add(dataset_id, DONE)
    simulator.trouble(trouble, "d-2")
    told = await run(asking.model_copy(update={"analyzer_timeout_s": 1.5 if trouble.delay_s else 20.0}))
    assert bench.statuses() == {"d-1": "Complete", "d-2": "Pending", "d-3": "Complete"}
    assert told.summary.errors == {kind: 1}
    assert told.summary.outcomes["unanswered"] == 1
    assert told.summary.halted is None
    (record,) = [record for record in told.log if record["action"] == kind.action]
    assert (record["log_level"], record["dataset_id"]) == ("error", "d-2")
    (alert,) = alerts(bench)
    assert (alert["kind"], alert["dataset_ids"], alert["wishlists"]) == (kind, ["d-2"], ["Cats"])
    answer = bench.history("d-2")["answers"]["api"]
    assert (answer["status"], answer["problem"]) == (None, kind)


async def test_refused_credentials_stop_the_run(asking: Settings, bench: Bench, simulator: AnalyzerSimulator) -> None:
    for dataset_id in bench.datasets(300):
        simulator.add(dataset_id, DONE)
    told = await run(asking.model_copy(update={"analyzer_token": SecretStr("expired-token")}))
    assert told.summary.halted is not None
    assert "credentials" in told.summary.halted
    assert told.summary.outcomes["not_asked"] > 200
    assert bench.effects() == NOTHING
    (alert,) = alerts(bench)
    assert alert["kind"] == AlertKind.API_AUTHENTICATION
    assert "expired-token" not in str([*bench.outbox.find(), *bench.histories.find(), told.log])


async def test_a_rate_limit_is_obeyed_and_everything_asked_after_it(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    for dataset_id in bench.datasets(30):
        simulator.add(dataset_id, DONE)
    simulator.trouble(Trouble(status_code=429, retry_after="1", times=5))
    told = await run(asking)
    assert told.summary.outcomes == {"changed": 30}
    assert told.summary.duration_s >= 1


async def test_datasets_with_one_cause_become_one_alert(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.datasets(12)
    told = await run(asking)
    assert told.summary.errors == {AlertKind.API_NOT_FOUND: 12}
    (alert,) = alerts(bench)
    assert len(alert["dataset_ids"]) == 12
    assert simulator.counts.requests.total() == 12


async def test_datasets_that_failed_for_one_cause_are_one_message_on_slack(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    for dataset_id in bench.datasets(12):
        simulator.add(dataset_id, Plan(pending_s=0, analyzing_s=0, error_message=f"no images in {dataset_id}, page 7"))
    async with slack_server() as slack:
        own = {"slack_url": slack.url, "slack_token": SecretStr(SLACK_TOKEN), "slack_channel": CHANNEL}
        async with parts_of(asking.model_copy(update=own)) as parts, parts.runner() as runner:
            await runner.run()
            await parts.dispatcher.drain(30)
    failures = [text for text in slack.texts() if "no images" in text]
    assert len(failures) == 1
    assert all(f"d-{number}" in failures[0] for number in range(12))
    assert len(slack.messages) == 2, "the failures, and the run's summary"


# --- step 3: comparison and change ---


async def test_each_dataset_follows_what_the_api_says(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    plans = {"d-1": WAITING, "d-2": AT_WORK, "d-3": DONE, "d-4": BROKEN}
    for dataset_id, plan in plans.items():
        bench.dataset(dataset_id)
        simulator.add(dataset_id, plan)
    told = await run(asking)
    assert bench.statuses() == {"d-1": "Pending", "d-2": "Analyzing", "d-3": "Complete", "d-4": "Failed"}
    assert bench.history("d-4")["error_message"] == "no images in it"
    assert told.summary.changes == {"Pending → Analyzing": 1, "Pending → Complete": 1, "Pending → Failed": 1}
    assert told.summary.statuses == {"Pending": 1, "Analyzing": 1, "Complete": 1, "Failed": 1}
    changed = [record for record in told.log if record["action"] == "dataset.status_changed"]
    assert {record["dataset_id"] for record in changed} == {"d-2", "d-3", "d-4"}
    assert {entry["dataset_id"] for entry in bench.logs.find()} == {"d-2", "d-3", "d-4"}


async def test_nothing_happens_twice_when_nothing_changes(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    for dataset_id, plan in {"d-1": AT_WORK, "d-2": DONE}.items():
        bench.dataset(dataset_id)
        simulator.add(dataset_id, plan)
    await run(asking)
    before = bench.effects()
    told = await run(asking)
    assert told.summary.outcomes == {"unchanged": 1}
    assert bench.effects() == before


async def test_an_invalid_transition_is_logged_alerted_recorded_and_changes_nothing(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", status="Analyzing", progress=40)
    before = bench.history("d-1")
    simulator.add("d-1", WAITING)
    told = await run(asking)
    after = bench.history("d-1")
    assert after["answers"]["api"]["progress"] == 0, "the simulator tells 0 % while a dataset waits"
    assert {name: after[name] for name in before} == before
    assert told.summary.outcomes == {"invalid": 1}
    assert AlertKind.INVALID_TRANSITION.action in told.actions()
    (entry,) = bench.logs.find()
    assert (entry["event_type"], entry["from"], entry["to"]) == ("Failure", "Analyzing", "Pending")
    assert "status" in entry["message"]
    assert [alert["kind"] for alert in alerts(bench)] == [AlertKind.INVALID_TRANSITION]
    await run(asking)
    assert bench.logs.count_documents({}) == 1, "what was told before is not told at each run"
    assert len(alerts(bench)) == 1


@pytest.mark.parametrize(
    ("collection", "where", "kind"),
    [
        ("wishlist_dataset_histories", "console", AlertKind.UPDATE_FAILED),
        ("wishlist_dataset_creation_logs", "console", AlertKind.LOG_FAILED),
        ("batch_jobs_vps", "analyzer", AlertKind.BATCH_JOB_FAILED),
        ("notifications", "console", AlertKind.NOTIFICATION_FAILED),
    ],
)
async def test_a_refused_step_is_rolled_back_told_and_tried_again_while_the_others_go_on(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator, collection: str, where: str, kind: AlertKind
) -> None:
    group = bench.group(viewpoints=["front"])
    for dataset_id in ("d-1", "d-2", "d-3"):
        bench.dataset(dataset_id, group)
        simulator.add(dataset_id, DONE)
    bench.refuse(
        collection, {"$or": [{"dataset_id": {"$ne": "d-2"}}, {"status": "Pending", "ruling": None}]}, database=where
    )
    if collection == "batch_jobs_vps":
        bench.refuse(collection, {"dataset_id": {"$ne": "d-2"}}, database=where)
    told = await run(asking)
    assert bench.statuses() == {"d-1": "Complete", "d-2": "Pending", "d-3": "Complete"}
    for each in (bench.notifications, bench.batch_jobs):
        assert {document["dataset_id"] for document in each.find()} == {"d-1", "d-3"}
    assert told.summary.errors == {kind: 1}
    (record,) = [record for record in told.log if record["action"] == kind.action]
    assert (record["dataset_id"], record["change"], record["notifications"]) == ("d-2", "Pending → Complete", 2)
    (alert,) = alerts(bench)
    assert (alert["kind"], alert["dataset_ids"]) == (kind, ["d-2"])
    failures = bench.logs.count_documents({"event_type": "Failure", "dataset_id": "d-2"})
    assert failures == (0 if kind is AlertKind.LOG_FAILED else 1)
    bench.refuse(collection, {}, database=where)
    await run(asking)
    assert bench.statuses()["d-2"] == "Complete"
    assert bench.effects() == {**NOTHING, "changed": 3, "logs": 3, "batch_jobs": 3, "notifications": 6, "outbox": 3}


async def test_a_record_that_is_none_is_told_and_stops_no_other(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.histories.insert_one({"dataset_id": "d-1", "status": "Pending"})
    bench.dataset("d-2")
    simulator.add("d-2", DONE)
    told = await run(asking)
    assert bench.statuses()["d-2"] == "Complete"
    assert told.summary.errors == {AlertKind.BROKEN_RECORD: 1}


async def test_datasets_of_a_group_that_is_none_stay_as_they_are(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", bench.group("Broken", users=["ada"]))
    bench.dataset("d-2")
    for dataset_id in ("d-1", "d-2"):
        simulator.add(dataset_id, DONE)
    told = await run(asking)
    assert bench.statuses() == {"d-1": "Pending", "d-2": "Complete"}
    assert told.summary.outcomes == {"changed": 1, "refused": 1}
    (alert,) = alerts(bench)
    assert (alert["kind"], alert["dataset_ids"]) == (AlertKind.BROKEN_RECORD, ["d-1"])


async def test_asked_for_by_its_id_a_broken_record_is_told_as_that(asking: Settings, bench: Bench) -> None:
    bench.histories.insert_one({"dataset_id": "d-1", "status": "Pending"})
    async with parts_of(asking) as parts, parts.runner() as runner:
        with pytest.raises(RecordError):
            await runner.run("d-1")
    assert [alert["kind"] for alert in alerts(bench)] == [AlertKind.BROKEN_RECORD]


async def test_when_even_the_failure_cannot_be_logged_the_others_go_on(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    for dataset_id in ("d-1", "d-2"):
        bench.dataset(dataset_id)
        simulator.add(dataset_id, DONE)
    bench.refuse("notifications", {"dataset_id": {"$ne": "d-1"}})
    bench.refuse("wishlist_dataset_creation_logs", {"dataset_id": {"$ne": "d-1"}})
    told = await run(asking)
    assert bench.statuses() == {"d-1": "Pending", "d-2": "Complete"}
    assert told.summary.halted is None
    assert AlertKind.LOG_FAILED in told.summary.errors


async def test_a_run_brings_batch_jobs_up_to_date(asking: Settings, bench: Bench) -> None:
    bench.dataset("d-1", status="Complete")
    batch_job = {
        "dataset_id": "d-1", "wishlist_dataset_history_id": 1, "viewpoint": "front", "job_id": "j-1",
        "status": "Pending", "created_at": BEGUN, "updated_at": BEGUN,
    }  # fmt: skip
    bench.batch_jobs.insert_one(batch_job)
    store(bench.trail, a_job("j-1", Status.SUCCEEDED))
    await run(asking)
    assert (bench.batch_jobs.find_one() or {})["status"] == "Complete"


async def test_a_dataset_of_no_group_is_changed_all_the_same(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", group="a group that is not there")
    simulator.add("d-1", DONE)
    await run(asking)
    assert bench.statuses() == {"d-1": "Complete"}
    assert bench.notifications.count_documents({}) == 0


# --- step 7: summary, recovery, halt ---


async def test_the_summary_counts_and_goes_to_the_log_and_to_slack(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    for dataset_id, plan in {"d-1": AT_WORK, "d-2": DONE}.items():
        bench.dataset(dataset_id)
        simulator.add(dataset_id, plan)
    bench.dataset("d-3")
    told = await run(asking)
    summary = told.summary
    assert (summary.checked, summary.outcomes) == (3, {"changed": 2, "unanswered": 1})
    assert (summary.api.count, summary.database.count) == (3, 2)
    assert summary.duration_s >= summary.api.most_s > 0
    (record,) = [record for record in told.log if record["action"] == "dataset.run_finished"]
    assert record["checked"] == 3
    (record,) = [record for record in told.log if record["action"] == "dataset.found"]
    assert record["count"] == 3
    (entry,) = bench.outbox.find({"body.type": "summary"})
    assert (entry["channel"], entry["body"]["run_id"]) == ("slack", summary.run_id)


async def test_the_counts_are_there_for_prometheus(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1")
    simulator.add("d-1", DONE)
    registry = CollectorRegistry()
    async with reconciler_parts(asking, registry) as parts, parts.runner() as runner:
        await runner.run()
    value = registry.get_sample_value
    assert value("jobtrail_reconciler_runs_total", {"result": "finished"}) == 1
    assert value("jobtrail_reconciler_checks_total", {"outcome": "changed"}) == 1
    assert value("jobtrail_reconciler_changes_total", {"change": "Pending → Complete"}) == 1
    assert value("jobtrail_reconciler_datasets", {"status": "Complete"}) == 1


async def test_without_slack_nothing_is_put_into_the_outbox_for_it(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.datasets(2)
    simulator.add("d-1", DONE)
    await run(asking.model_copy(update={"slack_token": None, "slack_channel": None}))
    assert bench.outbox.count_documents({}) == 0
    assert bench.statuses()["d-1"] == "Complete"


async def test_a_critical_error_halts_the_run_and_is_alerted(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.dataset("d-1")
    simulator.add("d-1", DONE)

    def fail(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("jobtrail.reconciler.checker.plan_change", fail)
    async with parts_of(asking) as parts, parts.runner() as runner:
        with capture_logs() as log, pytest.raises(ZeroDivisionError):
            await runner.run()
    assert [record["log_level"] for record in log if record["action"] == "dataset.critical"] == ["critical"]
    (alert,) = alerts(bench)
    assert (alert["kind"], "a defect" in alert["cause"]) == (AlertKind.CRITICAL, True)
    assert bench.effects() == NOTHING
    assert await Lease(database, COMMAND).acquire() is None, "the lease is free again"


async def test_of_two_runs_at_once_the_second_is_told_who_is_at_it(asking: Settings, database: Database) -> None:
    await Lease(database, COMMAND).acquire()
    async with parts_of(asking) as parts, parts.runner() as runner:
        with pytest.raises(BusyError, match="already runs on"):
            await runner.run()


async def test_a_database_that_is_away_is_logged_and_told_on_slack_past_the_outbox_once(
    asking: Settings, impatient: None
) -> None:
    async with slack_server() as slack:
        away = asking.model_copy(
            update={
                "mongo_url": SecretStr("mongodb://127.0.0.1:9/"),
                "slack_url": slack.url,
                "slack_token": SecretStr(SLACK_TOKEN),
                "slack_channel": CHANNEL,
            }
        )
        async with parts_of(away) as parts, parts.runner() as runner, parts.runner() as other:
            with capture_logs() as log:
                for attempt in (runner.prepare, other.run):
                    with pytest.raises(StoreError):
                        await attempt()
    assert [record["action"] for record in log].count(AlertKind.DATABASE_ERROR.action) == 2
    (text,) = slack.texts()
    assert "Database error" in text


async def test_a_database_that_goes_away_while_changes_are_written_ends_the_run_and_the_next_one_goes_on(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.dataset("d-1", bench.group(viewpoints=["front"]))
    simulator.add("d-1", DONE)
    write = DatasetRepository._write

    async def write_and_lose_the_database(self: DatasetRepository, *arguments: Any) -> None:
        await write(self, *arguments)
        raise StoreError("MongoDB went away")

    async with slack_server() as slack:
        own = {"slack_url": slack.url, "slack_token": SecretStr(SLACK_TOKEN), "slack_channel": CHANNEL}
        async with parts_of(asking.model_copy(update=own)) as parts, parts.runner() as runner:
            with monkeypatch.context() as patched, capture_logs() as log:
                patched.setattr(DatasetRepository, "_write", write_and_lose_the_database)
                with pytest.raises(StoreError, match="went away"):
                    await runner.run()
            assert bench.effects() == NOTHING
            assert bench.statuses() == {"d-1": "Pending"}
            assert await Lease(database, COMMAND).acquire() is None, "the lease is free again"
            await database.collection("leases").delete_one({"_id": COMMAND})
            await runner.run()
        (text,) = slack.texts()
    assert "MongoDB went away" in text, "past the outbox, which is in the database that is away"
    (record,) = [record for record in log if record["action"] == AlertKind.DATABASE_ERROR.action]
    assert (record["log_level"], record["error"]) == ("error", "MongoDB went away")
    assert bench.effects() == {**NOTHING, "changed": 1, "logs": 1, "batch_jobs": 1, "notifications": 2, "outbox": 1}


async def test_ten_thousand_pending_datasets_are_checked_in_one_run(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator, console: Console
) -> None:
    for number, dataset_id in enumerate(bench.datasets(10_000)):
        simulator.add(dataset_id, DONE if number % 100 == 0 else AT_WORK if number % 2 else WAITING)
    told = await run(asking.model_copy(update={"analyzer_timeout_s": 60.0}))
    assert told.summary.checked == 10_000
    assert told.summary.statuses == {"Pending": 4_900, "Analyzing": 5_000, "Complete": 100}
    assert bench.effects() == {**NOTHING, "changed": 5_100, "logs": 5_100, "notifications": 200, "outbox": 100}
    assert simulator.counts.requests.total() == 10_000
    assert simulator.counts.most_in_flight <= asking.analyzer_concurrency

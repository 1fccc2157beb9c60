"""The reconciler as a service: two sources, one state machine; scheduled runs, health, metrics, a clean stop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs

from jobtrail.models.datasets.dataset import StatusSource
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.jobs.status import Status
from jobtrail.models.notifications.outbox import RunSummary
from jobtrail.models.settings import Settings
from jobtrail.reconciler.check_runner import CheckRunner
from jobtrail.reconciler.service import cron_trigger, run_reconciler
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan, Trouble
from tests.jobs import a_job, store
from tests.reconciler.bench import Bench
from tests.support import WAIT_S, eventually_async

pytestmark = pytest.mark.usefixtures("console")

S = Status
DONE = Plan(pending_s=0, analyzing_s=0)
AT_WORK = Plan(pending_s=0, analyzing_s=1000)
NEXT_YEAR = "0 0 1 1 *"
"""A schedule that does not come about while a test runs; the run at the start does."""


@asynccontextmanager
async def service(settings: Settings, **changes: object) -> AsyncIterator[str]:
    """Run the service; yields the address of its pages. It must end cleanly when it is told to."""
    stop, ports = asyncio.Event(), asyncio.Queue[int]()
    own = settings.model_copy(update={"dataset_cron": NEXT_YEAR, **changes})
    task = asyncio.create_task(run_reconciler(own, stop, ports.put_nowait))
    try:
        yield f"http://127.0.0.1:{await ports.get()}"
    finally:
        stop.set()
        await asyncio.wait_for(task, WAIT_S)


async def health(address: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{address}/health") as answer:
        return {"status_code": answer.status, **await answer.json()}


async def until_it_watches(bench: Bench) -> None:
    async def watches() -> bool:
        return bench.trail["leases"].count_documents({"_id": "dataset events", "holder": {"$ne": None}}) == 1

    await eventually_async(watches)


async def until(bench: Bench, dataset_id: str, status: str) -> dict[str, Any]:
    async def has_it() -> bool:
        return bool(bench.history(dataset_id)["status"] == status)

    await eventually_async(has_it)
    return bench.history(dataset_id)


async def test_by_events_alone_a_dataset_follows_its_jobs(settings: Settings, bench: Bench) -> None:
    group = bench.group(required_extractors=["a", "b"])
    bench.dataset("d-1", group)
    bench.dataset("d-2", group)
    async with service(settings, dataset_quiet_s=3600):
        await until_it_watches(bench)
        store(bench.trail, a_job("j-1", S.STARTED, extractor_id="a", resource_id="d-1"))
        await until(bench, "d-1", "Analyzing")
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1"))
        store(bench.trail, a_job("j-2", S.SUCCEEDED, extractor_id="b", resource_id="d-1"))
        done = await until(bench, "d-1", "Complete")
        store(bench.trail, a_job("j-3", S.ERROR, extractor_id="b", resource_id="d-2", message="out of memory"))
        failed = await until(bench, "d-2", "Failed")
    assert done["ruling"]["source"] == "events"
    assert failed["error_message"] == "b: out of memory"
    assert bench.notifications.count_documents({}) == 4


async def test_without_required_extractors_a_dataset_is_complete_after_a_quiet_time(
    settings: Settings, bench: Bench
) -> None:
    bench.dataset("d-1")
    async with service(settings, dataset_quiet_s=3.0):  # so long that it is also seen before
        await until_it_watches(bench)
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1", seen_at=datetime.now(UTC)))
        await until(bench, "d-1", "Analyzing")
        await until(bench, "d-1", "Complete")


async def test_the_end_of_a_job_lets_the_api_be_asked_at_once_and_the_api_decides(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", bench.group(required_extractors=["a"]))
    simulator.add("d-1", Plan(pending_s=0, analyzing_s=1000))
    async with service(asking):
        await until_it_watches(bench)
        await until(bench, "d-1", "Analyzing")
        simulator.add("d-1", Plan(pending_s=0, analyzing_s=0, error_message="the analyzer's own reason"))
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1"))
        history = await until(bench, "d-1", "Failed")
    assert history["error_message"] == "the analyzer's own reason"
    assert history["ruling"]["source"] == "api"
    assert {name: answer["status"] for name, answer in history["answers"].items()} == {
        "api": "Failed",
        "events": "Complete",
    }


async def test_an_api_that_lags_behind_the_jobs_is_asked_again_until_it_agrees(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", bench.group(required_extractors=["a"]))
    simulator.add("d-1", AT_WORK)
    async with service(asking):
        await until_it_watches(bench)
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1"))

        async def asked_again() -> bool:
            return simulator.counts.requests["d-1"] >= 3

        await eventually_async(asked_again)
        assert bench.history("d-1")["status"] == "Analyzing"
        simulator.add("d-1", DONE)
        await until(bench, "d-1", "Complete")


async def test_where_no_extractor_is_required_the_api_is_asked_at_once_when_all_that_were_seen_are_done(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1")
    simulator.add("d-1", AT_WORK)
    async with service(asking, dataset_quiet_s=3600):
        await until_it_watches(bench)
        await until(bench, "d-1", "Analyzing")
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1", seen_at=datetime.now(UTC)))

        async def asked_again() -> bool:
            return simulator.counts.requests["d-1"] >= 3

        await eventually_async(asked_again)
        simulator.add("d-1", DONE)
        history = await until(bench, "d-1", "Complete")
    assert history["ruling"]["source"] == "api"
    assert history["answers"]["events"]["status"] == "Analyzing", "the quiet time is not over"


async def test_an_api_without_an_answer_is_not_asked_again_before_the_quiet_time_is_over(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    async with service(asking, dataset_quiet_s=3.0) as address:
        await until_it_watches(bench)

        async def first_run_is_over() -> bool:
            return bool((await health(address))["last_run"])

        await eventually_async(first_run_is_over)
        bench.dataset("d-1")
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1", seen_at=datetime.now(UTC)))
        history = await until(bench, "d-1", "Complete")
    assert history["ruling"]["source"] == "events"
    assert simulator.counts.requests["d-1"] == 2, "when the job was done, and when it had been quiet"


async def test_jobs_that_ended_before_anybody_looked_lead_to_the_end_at_once(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", bench.group(required_extractors=["a"]))
    simulator.add("d-1", Plan(pending_s=1000))
    async with service(asking):
        await until_it_watches(bench)
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1"))
        await until(bench, "d-1", "Analyzing")
        simulator.add("d-1", DONE)
        await until(bench, "d-1", "Complete")


async def test_an_api_that_hangs_about_one_dataset_keeps_no_other_waiting(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    group = bench.group(required_extractors=["a"])
    async with service(asking, analyzer_timeout_s=60) as _:
        await until_it_watches(bench)
        simulator.trouble(Trouble(delay_s=60), "d-1")  # first: who begins to watch asks about every open dataset
        for dataset_id in ("d-1", "d-2"):
            bench.dataset(dataset_id, group)
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1"))
        await until(bench, "d-1", "Analyzing")

        async def hangs() -> bool:
            return simulator.counts.in_flight == 1

        await eventually_async(hangs)
        simulator.add("d-2", DONE)
        store(bench.trail, a_job("j-2", S.SUCCEEDED, extractor_id="a", resource_id="d-2"))
        await until(bench, "d-2", "Complete")
        assert bench.history("d-1")["status"] == "Analyzing"


async def test_the_jobs_decide_when_the_api_gives_no_answer(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", bench.group(required_extractors=["a"]))
    simulator.trouble(Trouble(status_code=503))
    async with service(asking):
        await until_it_watches(bench)
        store(bench.trail, a_job("j-1", S.SUCCEEDED, extractor_id="a", resource_id="d-1"))
        history = await until(bench, "d-1", "Complete")
    assert history["ruling"]["source"] == "events"
    assert "api_service_error" in history["ruling"]["reason"]


async def test_progress_without_an_end_does_not_bother_the_api(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    bench.dataset("d-1", bench.group(required_extractors=["a"]))
    simulator.add("d-1", AT_WORK)
    async with service(asking):
        await until_it_watches(bench)
        await until(bench, "d-1", "Analyzing")
        asked = 0
        for percent in (10, 20, 30):
            store(bench.trail, a_job("j-1", S.PROCESSING, extractor_id="a", resource_id="d-1", percent=percent))

            async def noted(percent: int = percent) -> bool:
                events = bench.history("d-1")["answers"].get("events")
                return bool(events) and events["progress"] == percent

            await eventually_async(noted)
            # The first news may still find the dataset pending, and ask.
            asked = asked or simulator.counts.requests["d-1"]
        assert simulator.counts.requests["d-1"] == asked


async def test_runs_come_on_schedule(asking: Settings, bench: Bench, simulator: AnalyzerSimulator) -> None:
    bench.dataset("d-1")
    simulator.add("d-1", AT_WORK)
    second = datetime.now(UTC) + timedelta(seconds=1)
    assert cron_trigger("*/5 * * * *").get_next_fire_time(None, second) <= second + timedelta(minutes=5)
    async with service(asking, dataset_cron="* * * * *") as address:
        await until(bench, "d-1", "Analyzing")
        assert (await health(address))["status_code"] == 200


async def test_after_an_outage_the_next_run_does_not_wait_for_the_schedule(
    settings: Settings, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = CheckRunner.run
    outages = [StoreError("MongoDB is away"), StoreError("MongoDB is still away")]

    async def run_unless_away(self: CheckRunner) -> RunSummary:
        if outages:
            raise outages.pop()
        return await run(self)

    monkeypatch.setattr(CheckRunner, "run", run_unless_away)
    async with service(settings) as address:

        async def is_well() -> bool:
            told = await health(address)
            return bool(told["ok"] and told["last_run"])

        await eventually_async(is_well)
    assert not outages


@pytest.mark.parametrize(("weekday", "day"), [("0", 22), ("7", 22), ("1", 23), ("sun", 22), ("1-5", 23), ("6", 28)])
def test_weekdays_are_counted_as_cron_does(weekday: str, day: int) -> None:
    saturday = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert cron_trigger(f"0 0 * * {weekday}").get_next_fire_time(None, saturday) == datetime(2026, 11, day, tzinfo=UTC)


@pytest.mark.parametrize("cron", ["", "hourly", "* * * *", "61 * * * *"])
def test_a_schedule_that_is_none_is_refused(cron: str) -> None:
    with pytest.raises(SettingError, match="JOBTRAIL_DATASET_CRON"):
        cron_trigger(cron)


async def test_the_health_page_tells_sources_last_run_and_what_is_off(
    settings: Settings, bench: Bench, simulator: AnalyzerSimulator
) -> None:
    with capture_logs() as log:
        async with service(settings) as address:

            async def has_run() -> bool:
                return (await health(address)).get("last_run") is not None

            await eventually_async(has_run)
            told = await health(address)
    assert (told["ok"], told["sources"]) == (True, "events")
    assert told["channels_off"] == "email, pusher, slack"
    off = [record["channel"] for record in log if record.get("action") == "outbox.channel_off"]
    assert sorted(off) == ["email", "pusher", "slack"], "each that is off is told once"


@pytest.mark.parametrize("source", ["both", StatusSource.API])
async def test_a_batch_job_follows_the_job_that_its_id_names(
    asking: Settings, bench: Bench, simulator: AnalyzerSimulator, source: str
) -> None:
    bench.dataset("d-1", bench.group(viewpoints=["front"]))
    simulator.add("d-1", DONE)
    async with service(asking, dataset_source=source):
        await until_it_watches(bench)
        await until(bench, "d-1", "Complete")
        job_id = (bench.batch_jobs.find_one() or {})["job_id"]
        store(bench.trail, a_job(job_id, S.PROCESSING, extractor_id="viewpoints", resource_id="d-1", percent=50))

        async def runs() -> bool:
            return bool((bench.batch_jobs.find_one() or {})["status"] == "Running")

        await eventually_async(runs)
        store(bench.trail, a_job(job_id, S.SUCCEEDED, extractor_id="viewpoints", resource_id="d-1"))

        async def complete() -> bool:
            return bool((bench.batch_jobs.find_one() or {})["status"] == "Complete")

        await eventually_async(complete)
    assert bench.history("d-1")["status"] == "Complete"

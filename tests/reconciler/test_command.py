"""`jobtrail dataset:get-status` as somebody runs it once: what it prints, and what it ends with."""

import asyncio
import json
import subprocess
from typing import Any

import pytest

from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.settings import Settings
from jobtrail.reconciler.report import COMMAND
from jobtrail.stack.demo.analyzer import AnalyzerSimulator, Plan, Trouble
from jobtrail.store.database import Database
from jobtrail.store.leases.lease import Lease
from tests.cli.support import JobTrail, environment_of
from tests.reconciler.bench import Bench

pytestmark = pytest.mark.usefixtures("console")

DONE = Plan(pending_s=0, analyzing_s=0)
FOUND = (
    "✔ 2 datasets checked", "✔ Complete  1", "○ Pending  1", "changed: Pending → Complete 1", "unanswered 1",
    "does not know the dataset 1", "→ Check the dataset id", "API: 2 answers, mean", "database: 2 writes, mean",
)  # fmt: skip


@pytest.fixture
def jobtrail(asking: Settings) -> JobTrail:
    """The command, on this test's databases and simulator, with no channel on."""
    quiet = {"slack_token": None, "slack_channel": None}
    return JobTrail(environment_of(asking.model_copy(update=quiet)))


async def get_status(jobtrail: JobTrail, *arguments: str, **changes: str | None) -> subprocess.CompletedProcess[str]:
    """Run it beside the simulator, which lives in this process."""
    return await asyncio.to_thread(jobtrail.run, COMMAND, *arguments, **changes)


async def test_nothing_to_monitor_is_success_and_says_so(jobtrail: JobTrail, bench: Bench) -> None:
    bench.dataset("d-1", status="Complete")

    every, one, as_json = [await get_status(jobtrail, *more) for more in ((), ("d-1",), ("--json",))]

    assert (every.returncode, one.returncode, as_json.returncode) == (0, 0, 0)
    assert every.stdout == "✔ Nothing to monitor: no dataset is Pending or Analyzing.\n"
    assert one.stdout == "✔ Nothing to monitor: dataset d-1 has reached its end.\n"
    assert json.loads(as_json.stdout)["checked"] == 0


async def test_a_run_tells_what_it_found_and_did(
    jobtrail: JobTrail,
    bench: Bench,
    simulator: AnalyzerSimulator,
) -> None:
    for dataset_id in ("d-1", "d-2"):
        bench.dataset(dataset_id)
    simulator.add("d-1", DONE)

    done = await get_status(jobtrail)
    again = await get_status(jobtrail)
    told = json.loads((await get_status(jobtrail, "--json")).stdout)

    assert done.returncode == 0, "what one dataset lacks does not make the run a failure"
    assert [words for words in FOUND if words not in done.stdout] == []
    assert "API: 1 answer, mean" in again.stdout
    assert (told["checked"], told["statuses"], told["outcomes"]) == (1, {"Pending": 1}, {"unanswered": 1})
    assert (told["errors"], told["changes"], told["halted"]) == ({"api_not_found": 1}, {}, None)
    assert told["api"]["count"] == told["database"]["count"] == 1


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (Trouble(status_code=401), AlertKind.API_AUTHENTICATION),
        (Trouble(status_code=404), AlertKind.API_NOT_FOUND),
        (Trouble(status_code=429, retry_after="3600"), AlertKind.API_RATE_LIMITED),
        (Trouble(status_code=500), AlertKind.API_SERVICE_ERROR),
        (Trouble(status_code=200, body="nonsense"), AlertKind.API_INVALID_ANSWER),
    ],
)
async def test_the_one_dataset_that_could_not_be_checked_ends_it_with_1(
    jobtrail: JobTrail,
    bench: Bench,
    simulator: AnalyzerSimulator,
    trouble: Trouble,
    kind: AlertKind,
) -> None:
    bench.dataset("d-1")
    simulator.trouble(trouble)

    done = await get_status(jobtrail, "d-1")

    assert done.returncode == 1
    assert kind.meaning.title in done.stdout
    assert kind.meaning.steps[0] in done.stdout
    assert ("The run was halted" in done.stdout) == (kind is AlertKind.API_AUTHENTICATION)


async def test_a_status_that_goes_back_comes_with_advice_each_time(
    jobtrail: JobTrail,
    bench: Bench,
    simulator: AnalyzerSimulator,
) -> None:
    bench.dataset("d-1", status="Analyzing")
    simulator.add("d-1", Plan(pending_s=1000))

    for _ in range(2):
        done = await get_status(jobtrail, "d-1")
        assert done.returncode == 1
        assert "invalid 1" in done.stdout
        assert "→ See who says what: jobtrail datasets diff" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "words"),
    [
        (("../etc",), {}, 2, "'../etc' is not a dataset id"),
        (("d-9",), {}, 3, "there is no dataset 'd-9'"),
        (("d-1", "--watch"), {}, 2, "--watch goes with neither"),
        ((), {"JOBTRAIL_ANALYZER_URL": "ftp://api"}, 2, "JOBTRAIL_ANALYZER_URL"),
        (
            (),
            {"JOBTRAIL_MONGO_URL": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"},
            4,
            "MongoDB can't be reached",
        ),
    ],
)
async def test_what_it_was_not_meant_for_has_an_exit_code_of_its_own(
    jobtrail: JobTrail, arguments: tuple[str, ...], changes: dict[str, str | None], code: int, words: str
) -> None:
    done = await get_status(jobtrail, *arguments, **changes)

    assert (done.returncode, done.stdout) == (code, "")
    assert words in " ".join(done.stderr.split())


async def test_while_another_one_runs_it_says_who_and_ends_with_1(
    jobtrail: JobTrail,
    database: Database,
) -> None:
    await Lease(database, COMMAND).acquire()

    done = await get_status(jobtrail, "--json")

    error: dict[str, Any] = json.loads(done.stderr.splitlines()[-1])["error"]
    assert (done.returncode, error["exit_code"]) == (1, 1)
    assert "already runs on" in error["message"]

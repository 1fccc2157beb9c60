"""`jobtrail up --demo` as a new user would try it: real processes, in a fresh folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pika
import psutil
import pytest
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.stack.rabbitmq import RabbitMq
from jobtrail.stack.state import find_running
from tests.support import eventually, eventually_holds, next_message

pytestmark = [pytest.mark.services, pytest.mark.crash]  # `up` starts its own
JOBTRAIL = [sys.executable, "-m", "jobtrail.cli.main"]
DEMO_WORKERS = 6
"""The workers of the demo fleet, without the submitter."""
SERVICES = ("consumer", "monitor", "reconciler", "dead-letter service", "web")
UP_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0


class Run:
    """One `jobtrail up` in a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._output = folder / f"up-{len(list(folder.glob('up-*')))}.txt"
        with self._output.open("wb") as output:
            self.process = psutil.Popen(
                [*JOBTRAIL, "up", *options], cwd=folder, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def await_up(self) -> None:
        self.await_line("JobTrail is up")

    def await_line(self, words: str) -> None:
        eventually(lambda: words in self.output or self.process.poll() is not None, UP_TIMEOUT_S)
        assert self.process.poll() is None, self.output

    def everyone(self) -> list[psutil.Process]:
        """The run itself and every process below it."""
        return [self.process, *self.process.children(recursive=True)]

    def find(self, argument: str) -> psutil.Process:
        """The process with this argument."""
        for process in self.everyone():
            with suppress(psutil.Error):  # it may end at this very moment
                if argument in process.cmdline():
                    return process
        raise AssertionError(f"no process has the argument {argument}")

    def stop(self, number: signal.Signals) -> int:
        os.kill(self.process.pid, number)
        return int(self.process.wait(STOP_TIMEOUT_S))


StartRun = Callable[..., Run]


@pytest.fixture
def start_run(tmp_path: Path) -> Iterator[StartRun]:
    """Starts runs in one folder; whatever they leave is killed after the test."""
    runs: list[Run] = []
    seen: list[psutil.Process] = []

    def start(*options: str) -> Run:
        runs.append(Run(tmp_path, *options))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            seen += run.everyone()
    for process in left_of(seen):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(seen, timeout=10)


def left_of(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Those that still run; a zombie has ended."""
    return [each for each in processes if _runs(each)]


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def ask(folder: Path, *arguments: str) -> dict[str, Any]:
    """Run a command with `--json` in the folder, as a user in a second terminal would."""
    outcome = subprocess.run([*JOBTRAIL, *arguments, "--json"], cwd=folder, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stderr
    found: dict[str, Any] = json.loads(outcome.stdout)
    return found


@contextmanager
def database_of(folder: Path) -> Iterator[MongoClient[Any]]:
    """The run's MongoDB, to wait for what a user is to see: each command takes a second of the machine's time."""
    urls = find_running(folder / ".jobtrail")
    assert urls
    with MongoClient[Any](urls.mongo_url) as client:
        yield client


def all_kinds_have_ended(client: MongoClient[Any]) -> None:
    database = client[Settings(_env_file=None).database]
    ended = {job["extractor_id"] for job in database.jobs.find({"status": "SUCCEEDED"})}
    assert {"ncsa.wordcount", "demo.digest", "demo.flaky"} <= ended
    assert database.jobs.find_one({"extractor_id": "demo.flaky", "status": "SUCCEEDED", "attempts": {"$gt": 1}})
    assert database.extractions.find_one({"extractor_id": "demo.legacy"})
    assert database.extractor_instances.count_documents({"extractor": "demo.digest"}) == 2


def a_batch_job_is_done(client: MongoClient[Any]) -> bool:
    batch_jobs = client[Settings(_env_file=None).analyzer_database]["batch_jobs_vps"]
    return batch_jobs.find_one({"status": "Complete"}) is not None


def seen_by_a_user(folder: Path) -> dict[str, Any]:
    """All kinds of work that the demo is to show; fails while one is still missing."""
    page = ask(folder, "jobs", "--limit", "1000")
    ended = {(job["extractor_id"], job["attempts"] > 1) for job in page["jobs"] if job["status"] == "SUCCEEDED"}
    assert ("ncsa.wordcount", False) in ended
    assert ("demo.digest", False) in ended
    assert ("demo.flaky", True) in ended
    assert "demo.legacy" in {group["extractor_id"] for group in page["no_job_id"]}
    extractors = {each["name"]: each for each in ask(folder, "extractors")["extractors"]}
    assert {"ncsa.wordcount", "demo.digest", "demo.flaky"} <= extractors.keys()
    assert len(extractors["demo.digest"]["instances"]) == 2
    assert all(each["online"] for each in extractors.values())
    return page


def dataset_to_its_end(folder: Path) -> None:
    """A complete dataset with all that follows from it: a batch job, done by its job, and a mail."""
    changes = ask(folder, "datasets", "changes", "--limit", "1000")["entries"]
    complete = [change["dataset_id"] for change in changes if change["to"] == "Complete"]
    done = [
        (dataset_id, moment["job_id"])
        for dataset_id in complete[-3:]
        for moment in ask(folder, "datasets", "show", dataset_id)["story"]
        if (moment["kind"], moment["state"]) == ("batch job", "Complete")
    ]
    assert done
    dataset_id, job_id = done[0]
    assert ask(folder, "timeline", job_id)["status"] == "SUCCEEDED"
    assert list((folder / ".jobtrail" / "demo" / "mail").glob(f"*{dataset_id}*.eml"))


@pytest.mark.timeout(600)
def test_the_demo_shows_every_kind_of_job_ends_cleanly_and_keeps_its_data(start_run: StartRun, tmp_path: Path) -> None:
    run = start_run("--demo")
    run.await_up()
    with database_of(tmp_path) as client:
        eventually_holds(lambda: all_kinds_have_ended(client), UP_TIMEOUT_S)
        page = eventually(lambda: seen_by_a_user(tmp_path), UP_TIMEOUT_S)
        eventually(lambda: a_batch_job_is_done(client), UP_TIMEOUT_S)
    digests = [job for job in page["jobs"] if job["extractor_id"] == "demo.digest"]
    assert len({job["resource_id"] for job in digests}) < len(digests), "two replicas at work on one file are two jobs"

    eventually_holds(lambda: dataset_to_its_end(tmp_path), UP_TIMEOUT_S)
    checks = {check["name"]: check["outcome"] for check in ask(tmp_path, "doctor")["checks"]}
    assert {name: checks[name] for name in SERVICES} == dict.fromkeys(SERVICES, "ok")
    assert (checks["analyzer API"], checks["email"], checks["stream"]) == ("ok", "ok", "ok")

    second = start_run("--demo")
    assert second.process.wait(UP_TIMEOUT_S) == 1
    assert f"process {run.process.pid}" in second.output
    assert "jobtrail jobs" in second.output

    everyone = run.everyone()
    assert len(everyone) > DEMO_WORKERS + len(["beam.smp", "epmd", "mongod", "consumer", "monitor", "submitter"])
    assert run.stop(signal.SIGTERM) == 0, run.output
    assert left_of(everyone) == []
    assert "ended unexpectedly" not in run.output, run.output

    again = start_run()
    again.await_up()
    kept = {job["job_id"] for job in ask(tmp_path, "jobs", "--limit", "1000")["jobs"]}
    assert kept >= {job["job_id"] for job in page["jobs"]}
    everyone = again.everyone()
    assert again.stop(signal.SIGINT) == 0, again.output
    assert left_of(everyone) == []


@pytest.mark.timeout(600)
def test_what_dies_is_started_again_and_a_killed_run_leaves_no_process(start_run: StartRun, tmp_path: Path) -> None:
    run = start_run("--demo")
    run.await_up()
    run.find("consume").kill()
    run.await_line("restarted consumer")
    assert "consumer ended unexpectedly (signal 9)" in run.output
    run.find("--replSet").kill()
    run.await_line("MongoDB is up again")
    known = {job["job_id"] for job in ask(tmp_path, "jobs")["jobs"]}
    eventually(lambda: {job["job_id"] for job in ask(tmp_path, "jobs")["jobs"]} - known, UP_TIMEOUT_S)

    everyone = run.everyone()
    run.process.kill()
    # MongoDB ends too: a consumer that is just committing leaves when its transaction has taken 30 s.
    eventually(lambda: left_of(everyone) == [], UP_TIMEOUT_S)


def test_ctrl_c_before_everything_is_up_stops_what_was_started(start_run: StartRun) -> None:
    run = start_run()
    run.await_line("starting MongoDB")
    everyone = run.everyone()
    asked_at = time.monotonic()
    assert run.stop(signal.SIGINT) == 0, run.output
    assert time.monotonic() - asked_at < RabbitMq.stop_grace_s / 2, "nothing had to be killed"
    assert left_of(everyone) == []


def test_a_forwarder_runs_beside_the_others_where_its_target_is_named(
    start_run: StartRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "clowder.extractions"
    monkeypatch.setenv("JOBTRAIL_FORWARD_TO", target)
    run = start_run()
    run.await_up()
    assert run.find("forward")
    urls = find_running(tmp_path / ".jobtrail")
    assert urls
    with pika.BlockingConnection(pika.URLParameters(urls.amqp_url)) as connection:
        channel = connection.channel()
        for queue in (target, "worker"):
            channel.queue_declare(queue, durable=True)
        job_id = ask(tmp_path, "submit", "worker", "resource")["job_id"]
        _method, _properties, copy = next_message(channel, target)
    assert json.loads(copy)["job_id"] == job_id

    def doctor_agrees() -> None:
        checks = {check["name"]: check["outcome"] for check in ask(tmp_path, "doctor")["checks"]}
        assert (checks["forwarding"], checks["forwarder"]) == ("ok", "ok")

    eventually_holds(doctor_agrees)
    everyone = run.everyone()
    assert run.stop(signal.SIGTERM) == 0, run.output
    assert left_of(everyone) == []

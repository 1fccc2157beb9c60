"""`jobtrail up --demo` as a new user would try it: real processes, in a fresh folder."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import eventually

JOBTRAIL = [sys.executable, "-m", "cli.main"]
DEMO_WORKERS = 5
"""The workers of the demo fleet, without the submitter."""
UP_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 45.0


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


def test_the_demo_shows_every_kind_of_job_ends_cleanly_and_keeps_its_data(start_run: StartRun, tmp_path: Path) -> None:
    run = start_run("--demo")
    run.await_up()
    page = eventually(lambda: seen_by_a_user(tmp_path), UP_TIMEOUT_S)
    digests = [job for job in page["jobs"] if job["extractor_id"] == "demo.digest"]
    assert len({job["resource_id"] for job in digests}) < len(digests), "two replicas at work on one file are two jobs"

    second = start_run("--demo")
    assert second.process.wait(20) == 1
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


def test_what_dies_is_started_again_and_a_killed_run_leaves_no_process(start_run: StartRun, tmp_path: Path) -> None:
    run = start_run("--demo")
    run.await_up()
    run.find("consume").kill()
    run.await_line("started consumer again")
    assert "consumer ended unexpectedly (signal 9)" in run.output
    run.find("--replSet").kill()
    run.await_line("MongoDB is up again")
    known = {job["job_id"] for job in ask(tmp_path, "jobs")["jobs"]}
    eventually(lambda: {job["job_id"] for job in ask(tmp_path, "jobs")["jobs"]} - known)

    everyone = run.everyone()
    run.process.kill()
    eventually(lambda: left_of(everyone) == [], timeout_s=40)


def test_ctrl_c_before_everything_is_up_stops_what_was_started(start_run: StartRun) -> None:
    run = start_run()
    run.await_line("starting MongoDB")
    everyone = run.everyone()
    assert run.stop(signal.SIGINT) == 0, run.output
    assert left_of(everyone) == []

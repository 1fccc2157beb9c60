"""What the supervisor promises of the programs that it runs."""

import os
import sys
from pathlib import Path

import pytest

from jobtrail.stack.supervisor import Program, Supervisor
from tests.support import eventually

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
)


def program(name: str, code: str) -> Program:
    return Program(name=name, command=[sys.executable, "-c", code], environment=dict(os.environ), folder=Path.cwd())


@pytest.fixture
def told() -> list[str]:
    return []


def test_a_program_that_ends_is_started_again_after_pauses_that_grow(tmp_path: Path, told: list[str]) -> None:
    supervisor = Supervisor(
        [program("short", "raise SystemExit(3)"), program("steady", "import time; time.sleep(60)")],
        log_folder=tmp_path,
        on_progress=told.append,
    )
    supervisor.start()

    def ended_twice() -> bool:
        supervisor.check()
        return len(told) >= 3

    eventually(ended_twice)
    supervisor.stop(5.0)
    assert supervisor.running == 0
    assert "short ended unexpectedly (exit code 3); restarting it in 0.5 s" in told[0]
    assert str(tmp_path / "short.log") in told[0]
    assert told[1] == "restarted short"
    assert "in 1 s" in told[2]
    assert not any("steady" in line for line in told)


@pytest.mark.parametrize(("grace_s", "hurry"), [(0.2, False), (60.0, True)])
def test_a_program_that_does_not_end_is_killed_when_the_patience_is_over(
    tmp_path: Path, told: list[str], grace_s: float, hurry: bool
) -> None:
    supervisor = Supervisor([program("stubborn", STUBBORN)], log_folder=tmp_path, on_progress=told.append)
    supervisor.start()
    eventually(lambda: "ready" in (tmp_path / "stubborn.log").read_text())
    supervisor.stop(grace_s, hurry=lambda: hurry)
    assert supervisor.running == 0
    supervisor.check()
    assert told == [], "a program that was stopped is not started again"


def test_what_a_program_runs_with_is_not_told(tmp_path: Path) -> None:
    secret = Program(name="x", command=["x"], environment={"RABBITMQ_URI": "amqp://u:secret@h/"}, folder=tmp_path)
    assert "secret" not in repr(secret)

"""Keeps long-running child processes alive: restarts those that end, after growing pauses."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobtrail.stack.processes import ChildProcess, spawn
from jobtrail.stack.progress import OnProgress, no_progress

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
_STEADY_AFTER_S = 60.0
"""A program that ran that long has recovered: its next pause is the first one again."""
_POLL_S = 0.05


@dataclass(slots=True, frozen=True, kw_only=True)
class Program:
    """What to run."""

    name: str
    """Also the name of its log."""
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(repr=False)
    """Its whole environment, secrets included."""
    folder: Path
    """Its working folder."""


class Supervisor:
    """Runs programs that are started and stopped together; each logs to `<name>.log` in the folder."""

    def __init__(self, programs: Sequence[Program], *, log_folder: Path, on_progress: OnProgress = no_progress) -> None:
        self._watched = [_Watched(program, log_folder / f"{program.name}.log", on_progress) for program in programs]

    @property
    def running(self) -> int:
        """How many of the programs run at the moment."""
        return sum(watched.is_running for watched in self._watched)

    def start(self) -> None:
        """Start all programs."""
        for watched in self._watched:
            watched.start()

    def check(self) -> None:
        """Restart programs that have ended and whose pause is over; call it a few times a second."""
        for watched in self._watched:
            watched.check()

    def stop(self, grace_s: float, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop all programs: SIGTERM, then SIGKILL after `grace_s` seconds or once `hurry()` is true."""
        for watched in self._watched:
            watched.terminate()
        deadline = time.monotonic() + grace_s
        while self.running and time.monotonic() < deadline and not hurry():
            time.sleep(_POLL_S)
        for watched in self._watched:
            watched.kill()


class _Watched:
    """One program and the process that runs it."""

    def __init__(self, program: Program, log_file: Path, on_progress: OnProgress) -> None:
        self._program = program
        self._log_file = log_file
        self._on_progress = on_progress
        self._process: ChildProcess | None = None
        self._started_at = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._due_at: float | None = None
        """When the ended process will be restarted."""

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.is_running

    def start(self) -> None:
        self._process = spawn(
            self._program.command,
            environment=self._program.environment,
            folder=self._program.folder,
            log_file=self._log_file,
        )
        self._started_at = time.monotonic()
        self._due_at = None

    def check(self) -> None:
        now = time.monotonic()
        if self._process is None or self._process.is_running:
            return
        if self._due_at is None:
            self._plan_restart(self._process, now)
        elif now >= self._due_at:
            self.start()
            self._on_progress(f"restarted {self._program.name}")

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._process = None

    def _plan_restart(self, process: ChildProcess, now: float) -> None:
        if now - self._started_at >= _STEADY_AFTER_S:
            self._pause_s = FIRST_PAUSE_S
        # Its children must not run on beside its successor.
        process.kill()
        self._on_progress(
            f"{self._program.name} ended unexpectedly ({_cause(process.exit_code)}); "
            f"restarting it in {self._pause_s:g} s; its log: {self._log_file}"
        )
        self._due_at = now + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}"
    return f"exit code {exit_code}"

"""Keeps long-running child processes alive: who ends is started again, after pauses that grow."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobtrail.stack.processes import ChildProcess, spawn
from jobtrail.stack.progress import OnProgress, no_progress

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
_STEADY_AFTER_S = 60.0
"""Who ran that long has recovered: the next pause is the first one again."""
_POLL_S = 0.05


@dataclass(slots=True, frozen=True, kw_only=True)
class Program:
    """What to run."""

    name: str
    """For people; also the name of its log."""
    command: Sequence[str | Path]
    environment: Mapping[str, str] = field(repr=False)
    """Its whole environment, secrets included."""
    folder: Path
    """Its working folder."""


class Supervisor:
    """Runs a group of programs that are started and stopped together.

    Args:
        programs: What to run.
        log_folder: Where each program's output is appended, to `<name>.log`.
        on_progress: Told when a program ends by itself and when it is started again.
    """

    def __init__(self, programs: Sequence[Program], *, log_folder: Path, on_progress: OnProgress = no_progress) -> None:
        self._watched = [_Watched(program, log_folder / f"{program.name}.log", on_progress) for program in programs]

    @property
    def running(self) -> int:
        """How many of the programs run at this moment."""
        return sum(watched.is_running for watched in self._watched)

    def start(self) -> None:
        """Start all programs.

        Raises:
            StackError: One could not be started.
        """
        for watched in self._watched:
            watched.start()

    def check(self) -> None:
        """Start again what has ended and whose pause is over; call it a few times a second.

        Raises:
            StackError: One could not be started.
        """
        for watched in self._watched:
            watched.check()

    def stop(self, grace_s: float, *, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop all programs at once: SIGTERM, and SIGKILL for those whom that does not end. Twice does no harm.

        Args:
            grace_s: How long they may take to end by themselves, in seconds.
            hurry: Asked again and again; true ends the patience.
        """
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
        """When the ended process is to be started again."""

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
            self._on_progress(f"started {self._program.name} again")

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
        # What it started must not work on beside its successor.
        process.kill()
        self._on_progress(
            f"{self._program.name} ended unexpectedly ({_cause(process.exit_code)}); "
            f"it is started again in {self._pause_s:g} s; its log: {self._log_file}"
        )
        self._due_at = now + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}"
    return f"exit code {exit_code}"

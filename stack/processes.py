"""Child processes that end with their parent, and processes that a later run finds again.

A child has a session of its own, so that Ctrl-C in the terminal reaches only us and we stop the services in order.
Linux sends it SIGTERM when we die in any way (PR_SET_PDEATHSIG). That signal comes when the *thread* which started the
child ends, so one thread that lives as long as this process starts them all.
"""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

from jobtrail.stack.errors import StackError

_POLL_S = 0.02
_AGAIN_AFTER_S = 2.0
_LOG_TAIL_LINES = 15
_LOG_TAIL_BYTES = 16_384
_LOG_MAX_BYTES = 10 * 1024 * 1024
_OPEN_FILES = 65_536
"""As many as MongoDB recommends; RabbitMQ's runtime allocates a table for all it may open, so no more."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stack-spawner")


@dataclass(slots=True, frozen=True, kw_only=True)
class ProcessIdentity:
    """A process, told apart from a later one with the same number."""

    pid: int
    started_ticks: int
    """Clock ticks between the start of the machine and that of the process: no change of the clock alters them."""

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Look a process up; None when it does not exist or has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            if process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return cls._read(process)
        return None

    @classmethod
    def of_this_process(cls) -> "ProcessIdentity":
        """Return our own identity."""
        return cls._read(psutil.Process())

    @classmethod
    def _read(cls, process: psutil.Process) -> "ProcessIdentity":
        after_boot_s = process.create_time() - psutil.boot_time()
        return cls(pid=process.pid, started_ticks=round(after_boot_s * _TICKS_PER_S))

    @property
    def is_alive(self) -> bool:
        """Whether this process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def stop(self, grace_s: float) -> None:
        """Stop it and its children: SIGTERM, then after `grace_s` seconds SIGKILL; 0 kills at once."""
        if grace_s > 0 and self.is_alive:
            _signal(self.pid, signal.SIGTERM)
            _signal(self.pid, signal.SIGCONT)
            self._wait(grace_s)
        if self.is_alive:
            _signal_group(self.pid, signal.SIGKILL)
            self._wait(5.0)

    def _wait(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(_POLL_S)


class ChildProcess:
    """A process that `spawn` started."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log_file: Path) -> None:
        self._popen = popen
        self.log_file = log_file
        self.identity = ProcessIdentity.of(popen.pid) or ProcessIdentity(pid=popen.pid, started_ticks=0)

    @property
    def pid(self) -> int:
        """Its number, which is also its process group's."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Its exit code; the negative number of the signal that ended it; None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Send SIGTERM, which also ends a frozen process; returns at once."""
        if self.is_running:
            _signal(self.pid, signal.SIGTERM)
            _signal(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill it and its children."""
        _signal_group(self.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, grace_s: float) -> None:
        """Stop it: SIGTERM, then after `grace_s` seconds SIGKILL."""
        deadline = time.monotonic() + grace_s
        self.terminate()
        while self.is_running and (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(min(left_s, _AGAIN_AFTER_S))
            # Erlang ignores a signal that comes while it starts.
            self.terminate()
        # Also after a clean end, because it may leave helpers in its group.
        self.kill()

    def log_tail(self) -> str:
        """Return the last lines of its log, for error messages."""
        return log_tail(self.log_file)


def allow_open_files() -> None:
    """Let processes started from now on open as many files as a database needs, or as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spawn(
    command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path, log_file: Path
) -> ChildProcess:
    """Start a process that ends when this one does; its output is appended to `log_file`, rotated when large."""
    arguments = [*_die_with_parent(), *(str(part) for part in command)]
    if log_file.exists() and log_file.stat().st_size > _LOG_MAX_BYTES:
        log_file.replace(log_file.with_suffix(".old"))

    def start() -> "subprocess.Popen[bytes]":
        descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    try:
        return ChildProcess(_spawner.submit(start).result(), log_file)
    except OSError as error:
        raise StackError(f"{command[0]} could not be started: {error}") from error


def log_tail(log_file: Path) -> str:
    """Return the last lines of a log, or a note that it is empty."""
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log_file.stat().st_size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(line[:500] for line in lines[-_LOG_TAIL_LINES:]) or "(the log is empty)"


def _die_with_parent() -> list[str]:
    """Prefix a command with util-linux's setpriv, which asks the kernel for the signal and then becomes the program."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)

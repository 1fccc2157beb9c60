"""Child processes that die with their parent, and processes found again by a later run.

A child is started in a session of its own, so that Ctrl-C in the terminal reaches only us and we stop the services in
order. Linux sends it SIGTERM when we die in any way (PR_SET_PDEATHSIG). That signal follows the *thread* which started
the child, so one thread that lives as long as this process starts them all.
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

from jobtrail.stack.errors import StackError

_POLL_S = 0.02
_AGAIN_AFTER_S = 2.0
_LOG_TAIL_LINES = 15
_LOG_TAIL_BYTES = 16_384
_LOG_MAX_BYTES = 10 * 1024 * 1024
_OPEN_FILES = 65_536
"""What MongoDB asks for. RabbitMQ's runtime makes tables for as many as it may open, so no more than that."""
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stack-spawner")


@dataclass(slots=True, frozen=True, kw_only=True)
class ProcessIdentity:
    """Which process is meant, even when its number has been given to another one since."""

    pid: int
    started_ticks: int
    """The kernel's clock ticks from the machine's start to the process's."""

    @classmethod
    def of(cls, pid: int) -> "ProcessIdentity | None":
        """Look a process up.

        Args:
            pid: Its number.

        Returns:
            Its identity, or None when there is no such process or it has ended.
        """
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The second field, the command's name in parentheses, may hold anything: the fields are counted from its end.
        fields = stat[stat.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else cls(pid=pid, started_ticks=int(fields[19]))

    @classmethod
    def of_this_process(cls) -> "ProcessIdentity":
        """Return the identity of the process that asks.

        Raises:
            StackError: There is no /proc to read it from.
        """
        own = cls.of(os.getpid())
        if own is None:
            raise StackError("the private services need Linux with /proc mounted")
        return own

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessIdentity.of(self.pid) == self

    def stop(self, grace_s: float) -> None:
        """Stop it with all that it started: SIGTERM, and SIGKILL when that was not enough.

        Args:
            grace_s: How long it may take to end by itself, in seconds; 0 kills at once.
        """
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
    """One process that we started. Make it with `spawn`."""

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
        """Its exit code, minus the signal's number when a signal ended it, or None while it runs."""
        return self._popen.poll()

    def terminate(self) -> None:
        """Ask it to end, also when it is frozen; returns at once."""
        if self.is_running:
            _signal(self.pid, signal.SIGTERM)
            _signal(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it and all that it started, without a chance to clean up."""
        _signal_group(self.pid, signal.SIGKILL)
        self._popen.wait()

    def stop(self, grace_s: float) -> None:
        """Stop it: SIGTERM, and SIGKILL when that was not enough.

        Args:
            grace_s: How long it may take to end by itself, in seconds.
        """
        deadline = time.monotonic() + grace_s
        self.terminate()
        while self.is_running and (left_s := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(min(left_s, _AGAIN_AFTER_S))
            # Erlang passes over a signal that comes while it is just starting.
            self.terminate()
        # Also after a clean end: helpers that it left in its group go too.
        self.kill()

    def log_tail(self) -> str:
        """Return the last lines of its log, for error messages."""
        return log_tail(self.log_file)


def allow_open_files() -> None:
    """Let what is started from now on open as many files as a database needs, or as the system allows us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def spawn(
    command: Sequence[str | Path], *, environment: Mapping[str, str], folder: Path, log_file: Path
) -> ChildProcess:
    """Start a process that ends when this one does.

    Args:
        command: The program and its arguments.
        environment: Its whole environment.
        folder: Its working folder.
        log_file: Where its stdout and stderr are appended; a large one is set aside first.

    Returns:
        The running process.

    Raises:
        StackError: It could not be started.
    """
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
    """Read the end of a log.

    Args:
        log_file: The file; it need not exist.

    Returns:
        Its last lines, or a note that there are none.
    """
    try:
        with log_file.open("rb") as log:
            log.seek(max(0, log_file.stat().st_size - _LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    return "\n".join(line[:500] for line in lines[-_LOG_TAIL_LINES:]) or "(the log is empty)"


def _die_with_parent() -> list[str]:
    """util-linux's setpriv asks the kernel for the signal and then becomes the program."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)

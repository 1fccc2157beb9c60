"""A private service: one process that is started, watched and stopped, with the same port and data each time."""

import time
from abc import ABC, abstractmethod
from typing import ClassVar

from jobtrail.stack.errors import StackError
from jobtrail.stack.processes import ChildProcess
from jobtrail.stack.state import StackState


class PrivateService(ABC):
    """One private service. It may be stopped or killed and started again."""

    name: ClassVar[str]
    title: ClassVar[str]
    """What people call it."""
    stop_grace_s: ClassVar[float]
    """Seconds that it usually needs to end by itself."""

    def __init__(self, port: int, state: StackState) -> None:
        self.port = port
        self._state = state
        self._process: ChildProcess | None = None

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_running

    @abstractmethod
    def spawn(self) -> None:
        """Start its process; returns at once."""

    @abstractmethod
    def wait_until_up(self) -> None:
        """Wait until it can be used; StackError has the end of its log."""

    def start(self) -> None:
        """Start it and wait until it can be used."""
        self.spawn()
        self.wait_until_up()

    def terminate(self) -> None:
        """Send SIGTERM; returns at once. `stop` waits for the end."""
        if self._process:
            self._process.terminate()

    def stop(self, grace_s: float | None = None) -> None:
        """Stop it; its data stays. It is killed after `grace_s` seconds, by default after its usual time."""
        if self._process:
            self._process.stop(self.stop_grace_s if grace_s is None else grace_s)
            self._state.forget_process(self.name)

    def kill(self) -> None:
        """Kill it, as a crash would; its data stays."""
        if self._process:
            self._process.kill()
            self._state.forget_process(self.name)

    def _note(self, process: ChildProcess) -> None:
        """Record a process that was started."""
        self._process = process
        self._state.note_process(self.name, process.identity)

    def _started(self) -> ChildProcess:
        if self._process is None:
            raise StackError(f"{self.title} was not started")
        return self._process

    def _check_start(self, deadline: float, reason: str) -> None:
        """Raise StackError if it has ended, or if the time is up; the reason is why it can't be used yet."""
        process = self._started()
        if not process.is_running:
            problem = "ended while it started"
        elif time.monotonic() > deadline:
            problem = f"was not up in time: {reason}"
        else:
            return
        raise StackError(f"{self.title} {problem}. The end of {process.log_file}:\n{process.log_tail()}")

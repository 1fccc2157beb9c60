"""A private service: one process that is started, watched and stopped, on the same port and data each time."""

import time
from abc import ABC, abstractmethod
from typing import ClassVar

from jobtrail.stack.errors import StackError
from jobtrail.stack.processes import ChildProcess
from jobtrail.stack.state import StackState


class PrivateService(ABC):
    """One private service. It may be stopped or killed and started again.

    Args:
        port: Its port on 127.0.0.1.
        state: Where its process is noted.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    """What people call it."""
    stop_grace_s: ClassVar[float]
    """How long it may take to end by itself, in seconds, unless somebody says otherwise."""

    def __init__(self, port: int, state: StackState) -> None:
        self.port = port
        self._state = state
        self._process: ChildProcess | None = None

    @property
    def pid(self) -> int:
        """The number of its process.

        Raises:
            StackError: It was not started.
        """
        return self._started().pid

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.is_running

    @abstractmethod
    def spawn(self) -> None:
        """Start its process; returns at once.

        Raises:
            StackError: It could not be started.
        """

    @abstractmethod
    def wait_until_up(self) -> None:
        """Wait until it can be used.

        Raises:
            StackError: It ended or was not up in time; the message holds the end of its log.
        """

    def start(self) -> None:
        """Start it and wait until it can be used.

        Raises:
            StackError: It could not be started, or was not up in time.
        """
        self.spawn()
        self.wait_until_up()

    def terminate(self) -> None:
        """Ask it to end; returns at once. `stop` waits for the end."""
        if self._process:
            self._process.terminate()

    def stop(self, grace_s: float | None = None) -> None:
        """Stop it; its data stays.

        Args:
            grace_s: How long it may take to end by itself, in seconds, before it is killed; None for as long as it
                usually needs.
        """
        if self._process:
            self._process.stop(self.stop_grace_s if grace_s is None else grace_s)
            self._state.forget_process(self.name)

    def kill(self) -> None:
        """End it at once, as a crash would; its data stays."""
        if self._process:
            self._process.kill()
            self._state.forget_process(self.name)

    def _note(self, process: ChildProcess) -> None:
        """Take note of a process that was started."""
        self._process = process
        self._state.note_process(self.name, process.identity)

    def _started(self) -> ChildProcess:
        if self._process is None:
            raise StackError(f"{self.title} was not started")
        return self._process

    def _check_start(self, deadline: float, reason: str) -> None:
        """Give up where it has ended, or the time is up; the reason is why it can't be used yet."""
        process = self._started()
        if not process.is_running:
            problem = "ended while it started"
        elif time.monotonic() > deadline:
            problem = f"was not up in time: {reason}"
        else:
            return
        raise StackError(f"{self.title} {problem}. The end of {process.log_file}:\n{process.log_tail()}")

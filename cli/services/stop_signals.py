"""Ctrl-C and SIGTERM: the first one stops, a second Ctrl-C hurries."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignals:
    """Counts the requests to stop."""

    def __init__(self) -> None:
        self._count = 0
        self._patience: int | None = None

    @property
    def stopping(self) -> bool:
        """Whether a signal came."""
        return self._count > 0

    @property
    def hurrying(self) -> bool:
        """Whether a second one came."""
        return self._count > 1

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle the signals within this block."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def interrupting(self, *, after: int = 0) -> Iterator[None]:
        """Raise KeyboardInterrupt within this block when there are more than `after` requests to stop."""
        self._patience = after
        try:
            self._interrupt()
            yield
        finally:
            self._patience = None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # A supervisor may repeat SIGTERM; a second Ctrl-C comes from someone who is waiting.
        if number == signal.SIGINT or self._count == 0:
            self._count += 1
        self._interrupt()

    def _interrupt(self) -> None:
        if self._patience is not None and self._count > self._patience:
            raise KeyboardInterrupt

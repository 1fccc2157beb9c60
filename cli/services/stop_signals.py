"""Ctrl-C and SIGTERM: the first one asks to stop, a second Ctrl-C to hurry."""

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
        """Whether somebody asked to stop."""
        return self._count > 0

    @property
    def hurrying(self) -> bool:
        """Whether somebody asked again."""
        return self._count > 1

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Take the signals over for as long as this lasts."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self._note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def interrupting(self, *, after: int = 0) -> Iterator[None]:
        """Let a request interrupt what is done here, however long it takes.

        Args:
            after: How many requests are passed over first.

        Raises:
            KeyboardInterrupt: A request came.
        """
        self._patience = after
        try:
            self._interrupt()
            yield
        finally:
            self._patience = None

    def _note(self, number: int, _frame: FrameType | None) -> None:
        # A supervisor that repeats SIGTERM only repeats itself; a second Ctrl-C is a person who waits.
        if number == signal.SIGINT or self._count == 0:
            self._count += 1
        self._interrupt()

    def _interrupt(self) -> None:
        if self._patience is not None and self._count > self._patience:
            raise KeyboardInterrupt

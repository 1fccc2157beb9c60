"""Shows the progress of a long command on stderr: a bar on a terminal, else a line every ten seconds."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from jobtrail.cli.output.console import make_console

_LINE_EVERY_S = 10.0


class ProgressTeller:
    """Shows one growing count within a `with` block; `what` says what is being done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._total = 0
        self._last_line_at = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=make_console(stderr=True),
                transient=True,
            )
            self._task = self._bar.add_task(what, total=None)

    @property
    def total(self) -> int:
        """The final count; 0 while it is unknown."""
        return self._total

    @total.setter
    def total(self, total: int) -> None:
        self._total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total or None)

    def note(self, count: int) -> None:
        """Show that `count` are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=count)
        elif time.monotonic() - self._last_line_at >= _LINE_EVERY_S:
            self._last_line_at = time.monotonic()
            of_total = f" of about {self._total:,}" if self._total else ""
            sys.stderr.write(f"{self._what}: {count:,}{of_total}\n")

    def rename(self, what: str) -> None:
        """Change what is said to be done."""
        self._what = what
        if self._bar is not None:
            self._bar.update(self._task, description=what)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

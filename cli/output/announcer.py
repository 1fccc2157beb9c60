"""Tells people what is being done while it is done: under a spinner on a terminal, as lines with times elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.text import Text

from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.models.redaction import redact


class Announcer:
    """Says one line at a time; any thread may use it.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.notice: str | None = None
        """What was said last while a table held the terminal."""
        self._held = False

    def say(self, line: str) -> None:
        """Say what is being done.

        Args:
            line: One line; secrets in it are masked.
        """
        line = redact(line)
        if self._held:
            self.notice = line
        elif self.console.is_terminal:
            self.console.print(Text.assemble(("  · ", QUIET), line), soft_wrap=True)
        else:
            self.console.print(f"{datetime.now():%H:%M:%S} {line}", soft_wrap=True)

    def done(self, line: str) -> None:
        """Say that a long step is over.

        Args:
            line: One line.
        """
        if self.console.is_terminal:
            self.console.print(Text.assemble(("  ✔ ", GOOD), line), soft_wrap=True)
        else:
            self.say(line)

    @contextmanager
    def step(self, line: str) -> Iterator[None]:
        """Show that a long step goes on.

        Args:
            line: What it is.
        """
        if self.console.is_terminal:
            with self.console.status(line):
                yield
        else:
            self.say(line)
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep what is said as the `notice`: a table holds the terminal."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

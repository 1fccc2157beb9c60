"""Says what is being done: under a spinner on a terminal, as lines with times elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.text import Text

from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.models.redaction import redact


class Announcer:
    """Prints one line at a time; any thread may use it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.notice: str | None = None
        """The last line said while a table occupied the terminal."""
        self._held = False

    def say(self, line: str) -> None:
        """Say what is being done, with secrets masked."""
        line = redact(line)
        if self._held:
            self.notice = line
        elif self.console.is_terminal:
            self.console.print(Text.assemble(("  · ", QUIET), line), soft_wrap=True)
        else:
            self.console.print(f"{datetime.now():%H:%M:%S} {line}", soft_wrap=True)

    def done(self, line: str) -> None:
        """Say that a long step is done."""
        if self.console.is_terminal:
            self.console.print(Text.assemble(("  ✔ ", GOOD), line), soft_wrap=True)
        else:
            self.say(line)

    @contextmanager
    def step(self, line: str) -> Iterator[None]:
        """Show that a long step is running."""
        if self.console.is_terminal:
            with self.console.status(line):
                yield
        else:
            self.say(line)
            yield

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep what is said as the `notice` while a table occupies the terminal."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

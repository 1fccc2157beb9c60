"""The terminal: colours only where they are seen, lines as long as they need to be where they are not."""

import json
import os
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from jobtrail.cli.output.palette import QUIET

_PIPED_WIDTH = 200
"""Columns where stdout is not a terminal: grep wants one line per item."""


class _PipedConsole(Console):
    """Leaves a closed pipe to `CommandGroup`."""

    def on_broken_pipe(self) -> None:
        """Raise the error again."""
        raise  # noqa: PLE0704  # rich calls this while it handles the BrokenPipeError


def make_console(*, stderr: bool = False) -> Console:
    """Make the console that a command prints to; progress goes to stderr."""
    stream = sys.stderr if stderr else sys.stdout
    fixed = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return _PipedConsole(stderr=stderr, width=fixed, highlight=False, markup=False, emoji=False)


def make_table() -> Table:
    """Make a table without lines, whose columns are still to be added."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)


def write_json(content: Mapping[str, object]) -> None:
    """Write one JSON object to stdout, indented."""
    sys.stdout.write(f"{json.dumps(content, indent=2)}\n")

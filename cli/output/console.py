"""The terminal: colours only where they are seen, lines as long as they need to be where they are not."""

import json
import os
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from jobtrail.cli.output.palette import QUIET

_PIPED_WIDTH = 200
"""Columns where stdout is no terminal: whoever reads it with grep wants one line per thing."""


class _PipedConsole(Console):
    """Leaves a closed pipe to the root of the commands."""

    def on_broken_pipe(self) -> None:
        """Raise the error again."""
        raise  # noqa: PLE0704  # rich calls this while it handles the BrokenPipeError


def make_console(*, stderr: bool = False) -> Console:
    """Make the console that a command prints to.

    Args:
        stderr: Whether it is for stderr, as progress is.

    Returns:
        The console.
    """
    stream = sys.stderr if stderr else sys.stdout
    fixed = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return _PipedConsole(stderr=stderr, width=fixed, highlight=False, markup=False, emoji=False)


def make_table() -> Table:
    """Make a table without lines, whose columns are still to be added."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)


def write_json(told: Mapping[str, object]) -> None:
    """Write one JSON object to stdout, for people and programs.

    Args:
        told: What it holds.
    """
    sys.stdout.write(f"{json.dumps(told, indent=2)}\n")

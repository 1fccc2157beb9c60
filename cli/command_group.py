"""The root of all commands: turns every error into one line and an exit code."""

import os
import sys
from typing import Annotated

import typer
from typer.core import TyperGroup

from jobtrail.cli.exit_codes import ExitCode, exit_code
from jobtrail.cli.output.error_report import report
from jobtrail.models.errors import JobTrailError

_JSON = "jobtrail.json"
_VERBOSE = "jobtrail.verbose"


class CommandGroup(TyperGroup):
    """Runs one command and turns an error into one line and an exit code."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # the base class names an internal type
        """Run the command that was chosen."""
        try:
            result: object = super().invoke(ctx)
            sys.stdout.flush()
        except JobTrailError as error:
            report(error, as_json=bool(ctx.meta.get(_JSON)), verbose=bool(ctx.meta.get(_VERBOSE)))
            raise typer.Exit(exit_code(error)) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except BrokenPipeError as error:
            # The reader has enough (`| head`). What is still buffered must not fail again when Python exits.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(ExitCode.DONE) from error
        return result


def note_verbose(ctx: typer.Context, value: bool) -> bool:
    """Remember to print the causes of an error."""
    ctx.meta[_VERBOSE] = value
    return value


def _note_json(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[_JSON] = value
    return value


JsonOption = Annotated[
    bool, typer.Option("--json", help="Print JSON; an error is then a JSON object on stderr.", callback=_note_json)
]


def examples(*lines: str) -> str:
    """Make a command's epilog of whole command lines; Typer makes a line of each paragraph."""
    heading = "Examples:" if len(lines) > 1 else "Example:"
    return "\n\n".join((heading, *(f"$ {line}" for line in lines)))

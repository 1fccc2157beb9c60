"""`jobtrail verify`: are the jobs what their events say?"""

import typer

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.exit_codes import ExitCode


def verify(as_json: JsonOption = False) -> None:
    """Compare every job with what its events say. Exit code 1 when they differ; nothing is changed.

    With --json: one object with `events` read and `differences`.
    """
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.upkeep.recount import show_verify

    if run_interruptible(show_verify(as_json=as_json)):
        raise typer.Exit(ExitCode.FAILED)

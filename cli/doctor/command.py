"""`jobtrail doctor`: is everything as it should be?"""

import typer

from jobtrail.cli.command_group import JsonOption


def doctor(as_json: JsonOption = False) -> None:
    """Check settings, broker, queues, database and services, and say what to do. Nothing is changed.

    Exit code 0 when no check failed; else 2 when a setting is wrong, 4 when a service can't be reached, 1 otherwise.
    """
    from jobtrail.cli.doctor.show import show_doctor
    from jobtrail.cli.interruptible import run_interruptible

    code = run_interruptible(show_doctor(as_json=as_json))
    if code:
        raise typer.Exit(code)

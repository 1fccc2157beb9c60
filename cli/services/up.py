"""`jobtrail up`: everything on this machine, with a live table of what happens."""

from typing import Annotated

import typer


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Also run the demo fleet: a few workers on real files.")] = False,
) -> None:
    """Run a private RabbitMQ and MongoDB and all services, and show the jobs live until Ctrl-C.

    Services whose URL is set are used instead of private ones. The data stays in JOBTRAIL_DATA_DIR for the next run.
    """
    from jobtrail.cli.output.announcer import Announcer
    from jobtrail.cli.output.console import make_console
    from jobtrail.cli.services.up_run import UpRun
    from jobtrail.models.settings import load_settings

    UpRun(load_settings(), demo=demo, announcer=Announcer(make_console())).run()

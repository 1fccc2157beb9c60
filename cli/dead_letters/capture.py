"""`jobtrail deadletters capture`: the service of dead letters."""

from typing import Annotated

import typer

from jobtrail.cli.context import current_settings
from jobtrail.cli.services.service import run_service
from jobtrail.deadletters.service import capture_settings, run_dead_letters


def capture(
    queue: Annotated[
        list[str] | None,
        typer.Option(
            help="Empty this queue too, in addition to those of JOBTRAIL_CAPTURE_QUEUES; repeatable.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Capture dead letters until SIGTERM or Ctrl-C; also continue replays, settle outcomes, account hourly.

    It empties JOBTRAIL_DEAD_LETTER_QUEUE, and other queues only if they are
    named. A message leaves its queue once it is stored.
    """
    settings = capture_settings(current_settings(), queue or ())
    run_service("dead_letters", settings, lambda stop, on_ready: run_dead_letters(settings, stop, on_ready=on_ready))

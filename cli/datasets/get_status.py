"""`jobtrail dataset:get-status`: how far are the datasets?"""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def dataset_get_status(
    dataset_id: Annotated[
        str | None,
        typer.Argument(help="Only this dataset. Without it, all that are Pending or Analyzing.", show_default=False),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on as a service: every five minutes (JOBTRAIL_DATASET_CRON), and when jobs change."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check how far datasets are, change their histories, and tell those concerned.

    Asks the analyzer's API (JOBTRAIL_ANALYZER_URL) and the jobs on each dataset (JOBTRAIL_DATASET_SOURCE). What follows
    from an end is stored with it: batch jobs, notifications, messages to Slack, email and Pusher where they are set up.

    Exit code 0 also when single datasets could not be checked (the summary counts them); 1 when the run was halted, or
    the one dataset that was asked for could not be checked.
    """
    from jobtrail.cli.context import current_settings

    if watch:
        from jobtrail.cli.services.service import run_service
        from jobtrail.reconciler.service import run_reconciler

        if dataset_id is not None or as_json:
            raise typer.BadParameter("--watch goes with neither a dataset nor --json: it runs until it is stopped")
        settings = current_settings()
        run_service("reconciler", settings, lambda stop, on_ready: run_reconciler(settings, stop, on_ready=on_ready))
        return

    from jobtrail.cli.datasets.run import show_run
    from jobtrail.cli.interruptible import run_interruptible

    code = run_interruptible(show_run(current_settings(), dataset_id, as_json=as_json))
    if code:
        raise typer.Exit(code)

"""`jobtrail timeline`: everything that one job's workers said."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def timeline(
    job_id: Annotated[str | None, typer.Argument(help="The job.", show_default=False)] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on live until the job ends.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest events, this many.")] = None,
    resource: Annotated[
        str | None, typer.Option(help="Without a JOB_ID: the updates on this resource that name no job.")
    ] = None,
    extractor: Annotated[str | None, typer.Option(help="Together with --resource: from this extractor.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one job's attempts and events, how long each step took, and what is missing.

    With --json: one object; with --json --follow: one event per line (JSON Lines).
    """
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.jobs.timeline_show import show_job, show_unnamed
    from jobtrail.models.errors import SettingError

    if job_id is not None:
        if resource or extractor:
            raise SettingError("give either a JOB_ID, or --resource and --extractor, not both")
        run_interruptible(show_job(job_id, follow=follow, limit=limit, as_json=as_json))
    elif resource and extractor:
        if follow:
            raise SettingError("--follow needs a JOB_ID")
        run_interruptible(show_unnamed(extractor, resource, limit=limit, as_json=as_json))
    else:
        raise SettingError("give a JOB_ID, or --resource and --extractor for updates that name no job")

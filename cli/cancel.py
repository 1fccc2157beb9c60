"""`jobtrail cancel`: takes a job back before a worker takes it."""

from typing import Annotated

import typer

from cli.command_group import JsonOption


def cancel(
    job_id: Annotated[str, typer.Argument(help="The job.")],
    queue: Annotated[str | None, typer.Option(help="The queue it waits in; else that of the job's extractor.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a job that no worker has taken yet. Exit code 1 when it is too late."""
    import json

    from cli.cancellation import find_target, take_back
    from cli.context import current_settings
    from cli.interruptible import run_interruptible

    settings = current_settings()
    target = run_interruptible(find_target(settings, job_id, queue))
    result = take_back(settings, job_id, target)
    if as_json:
        told = {"job_id": job_id, "status": "CANCELLED", "queue": result.queue, "resource_id": result.resource_id}
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"Cancelled job {job_id}: it waited in {result.queue}, at place {result.position}.")

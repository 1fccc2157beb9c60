"""`jobtrail cancel`: takes a job back before a worker takes it."""

import json
from typing import Annotated

import typer

from jobtrail.cli.actor import this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.jobs.acts import open_job_acts
from jobtrail.publisher.cancellation import CancelResult


def cancel(
    job_id: Annotated[str, typer.Argument(help="The job.")],
    queue: Annotated[str | None, typer.Option(help="The queue it waits in; else that of the job's extractor.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel a job that no worker has taken yet. Exit code 1 when it is too late."""

    async def take_back() -> CancelResult:
        async with open_job_acts(current_settings(), needs_database=queue is None) as acts:
            return await acts.cancel(this_account(), job_id, queue)

    result = run_interruptible(take_back())
    if as_json:
        cancelled = {"job_id": job_id, "status": "CANCELLED", "queue": result.queue, "resource_id": result.resource_id}
        typer.echo(json.dumps(cancelled))
    else:
        typer.echo(f"Cancelled job {job_id}; it was no. {result.position} in {result.queue}.")

"""`jobtrail cancel`: takes a job back before a worker takes it."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def cancel(
    job_id: Annotated[str, typer.Argument(help="The job.")],
    queue: Annotated[str | None, typer.Option(help="The queue it waits in; else that of the job's extractor.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a job that no worker has taken yet. Exit code 1 when it is too late."""
    import json

    from jobtrail.cli.access.audit_log_note import note_by_itself
    from jobtrail.cli.context import current_settings, open_database
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.operations.cancellation import CancelTarget, find_target, take_back

    settings = current_settings()

    async def find() -> CancelTarget:
        if queue is not None and settings.mongo_url is None:
            return CancelTarget(queues=[queue], job=None)
        async with open_database(settings) as database:
            return await find_target(database, job_id, queue)

    target = run_interruptible(find())
    result = take_back(settings, job_id, target)
    run_interruptible(note_by_itself(settings, "job.cancel", target=job_id, details={"queue": result.queue}))
    if as_json:
        told = {"job_id": job_id, "status": "CANCELLED", "queue": result.queue, "resource_id": result.resource_id}
        typer.echo(json.dumps(told))
    else:
        typer.echo(f"Cancelled job {job_id}: it waited in {result.queue}, at place {result.position}.")

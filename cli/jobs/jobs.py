"""`jobtrail jobs`: the list of jobs."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def jobs(
    *,
    extractor: Annotated[str | None, typer.Option(help="Only jobs of this extractor.")] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only jobs in this status, in any case; may be given more than once.")
    ] = None,
    resource: Annotated[str | None, typer.Option(help="Only jobs on this file or dataset.")] = None,
    user: Annotated[str | None, typer.Option(help="Only jobs that this user asked for.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only jobs updated since then: 30m, 2h, 1d, 1w, or a time in ISO 8601.")
    ] = None,
    stalled: Annotated[
        bool, typer.Option("--stalled", help="Only running jobs that fell silent or lost their worker.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Jobs per page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended: its `next`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs, the latest updated first, and below them the updates that name no job."""
    from datetime import UTC, datetime

    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.jobs.jobs_show import print_jobs, print_json, read
    from jobtrail.cli.output.formats import parse_since, parse_statuses
    from jobtrail.models.errors import SettingError
    from jobtrail.operations.job_list import RUNNING, JobListRequest
    from jobtrail.store.jobs.jobs import JobFilter

    statuses = parse_statuses(status or ())
    if stalled:
        statuses = statuses or RUNNING
        if not set(statuses) <= set(RUNNING):
            raise SettingError(f"--stalled is about running jobs: --status can only be {' or '.join(RUNNING)}")
    wanted = JobFilter(
        extractor_id=extractor,
        resource_id=resource,
        user_id=user,
        statuses=statuses,
        since=parse_since(since, datetime.now(UTC)) if since else None,
    )
    request = JobListRequest(wanted=wanted, stalled_only=stalled, limit=limit, cursor=cursor)
    found = run_interruptible(read(request))
    if as_json:
        print_json(found)
    else:
        filtered = any((extractor, status, resource, user, since, stalled, cursor))
        print_jobs(found, datetime.now(UTC), filtered=filtered)

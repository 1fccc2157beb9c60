"""`jobtrail jobs`: the list of jobs, as JSON or as a table with one line per job, two where that is too long."""

from datetime import UTC, datetime
from shlex import quote
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, status_text
from jobtrail.cli.output.status_list import Columns, Line, print_lines, print_next
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.models.times import duration, relative
from jobtrail.operations.job_list import JobList, ListedJob, list_jobs
from jobtrail.operations.schemas.jobs import JobListSchema
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.jobs import JobRepository

_STATUS_WIDTH = 13
_UPDATED_WIDTH = 10
_GROUPS_SHOWN = 10
_COLUMNS = Columns(
    state="STATUS", name="JOB", details=["EXTRACTOR", "RESOURCE"], ends=["UPDATED", "ELAPSED"], remark="MESSAGE"
)


@with_options
def jobs(
    *,
    wanted: JobFilter,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Jobs per page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last page ended: its `next`.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the jobs, the latest updated first, and below them the updates without a job id."""
    found = run_interruptible(_read(wanted, limit, cursor))
    if as_json:
        write_json(JobListSchema.model_validate(found).json_object())
    else:
        _print_jobs(found, datetime.now(UTC), is_filtered=bool(wanted.given() or cursor))


async def _read(wanted: JobFilter, limit: int, cursor: str | None) -> JobList:
    settings = current_settings()
    async with open_database(settings) as database:
        detector = StallDetector(database, settings)
        return await list_jobs(JobRepository(database), detector, wanted, limit=limit, cursor=cursor)


def _print_jobs(found: JobList, now: datetime, *, is_filtered: bool) -> None:
    console = make_console()
    if not found.jobs and not found.unnamed:
        _print_empty(console, is_filtered=is_filtered)
        return
    if found.jobs:
        print_lines(console, _COLUMNS, [_line(listed, now) for listed in found.jobs])
    print_next(console, found.next)
    if found.unnamed:
        _print_unnamed(console, found, now)


def _print_empty(console: Console, *, is_filtered: bool) -> None:
    if is_filtered:
        console.print("No job matches.")
        console.print(Text("  See all:  jobtrail jobs", style=QUIET))
        return
    console.print("No job has sent an update yet.")
    console.print(Text("  See a demo:            jobtrail up --demo", style=QUIET))
    console.print(Text("  Check your set-up:     jobtrail doctor", style=QUIET))
    console.print(Text("  Submit a job:          jobtrail submit QUEUE RESOURCE_ID", style=QUIET))


def _line(listed: ListedJob, now: datetime) -> Line:
    job = listed.job
    return Line(
        state=status_text(job.status, stalled=listed.stall is not None),
        name=job.job_id,
        details=[job.extractor_id, job.resource_id],
        ends=[relative(job.updated_at, now), _elapsed(job, now)],
        remark=_remark(listed),
        remark_matters=listed.stall is not None or job.status is Status.ERROR,
    )


def _remark(listed: ListedJob) -> Text:
    """Say what matters most of a job: why it is stalled, else its latest message."""
    if listed.stall is not None:
        return Text(f"stalled: {one_line(listed.stall.evidence)}", style=WARNING)
    words = one_line(listed.job.message)
    return Text(words, style=BAD if listed.job.status is Status.ERROR else "")


def _elapsed(job: JobState, now: datetime) -> str:
    """Say how long a finished job took, or how long a running one has been running."""
    if job.elapsed_s is not None:
        return duration(job.elapsed_s)
    if job.started_at is not None and job.status.is_running:
        return f"{duration(max(0, int((now - job.started_at).total_seconds())))}…"
    return "-"


def _print_unnamed(console: Console, found: JobList, now: datetime) -> None:
    console.print(Text("\nNo job ID" if found.jobs else "No job ID", style="bold"))
    table = make_table()
    table.add_column("LATEST", width=_STATUS_WIDTH, no_wrap=True)
    table.add_column("EXTRACTOR", overflow="fold")
    table.add_column("RESOURCE", overflow="fold")
    table.add_column("UPDATED", width=_UPDATED_WIDTH, no_wrap=True)
    table.add_column("EVENTS", min_width=6, no_wrap=True, justify="right")
    for group in found.unnamed[:_GROUPS_SHOWN]:
        table.add_row(
            status_text(group.status),
            one_line(group.extractor_id),
            one_line(group.resource_id),
            relative(group.updated_at, now),
            str(group.event_count),
        )
    console.print(table)
    first = found.unnamed[0]
    if len(found.unnamed) > _GROUPS_SHOWN:
        console.print(Text(f"… and {len(found.unnamed) - _GROUPS_SHOWN} more; all with --json", style=QUIET))
    options = f"--resource {quote(one_line(first.resource_id))} --extractor {quote(one_line(first.extractor_id))}"
    hint = f"Look inside:  jobtrail timeline {options}"
    console.print(Text(hint, style=QUIET), soft_wrap=True)

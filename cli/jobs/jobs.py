"""`jobtrail jobs`: the list of jobs, as JSON or as a table with one line per job, two where that is too long."""

from collections.abc import Iterable
from datetime import UTC, datetime
from shlex import quote
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, status_text
from jobtrail.cli.output.status_list import WIDE, print_next
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
_ELAPSED_WIDTH = 12
_GROUPS_SHOWN = 10


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
        if console.width >= WIDE:
            console.print(_job_table(found, now, width=console.width))
        else:
            _print_narrow(console, found, now)
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


def _job_table(found: JobList, now: datetime, *, width: int) -> Table:
    jobs = [listed.job for listed in found.jobs]
    columns = {
        "STATUS": _STATUS_WIDTH,
        "JOB": _fitting((job.job_id for job in jobs), 40),
        "EXTRACTOR": _fitting((job.extractor_id for job in jobs), 28),
        "RESOURCE": _fitting((job.resource_id for job in jobs), 26),
        "UPDATED": _UPDATED_WIDTH,
        "ELAPSED": _ELAPSED_WIDTH,
    }
    columns["MESSAGE"] = width - sum(columns.values()) - 2 * len(columns)
    table = make_table()
    for name, column_width in columns.items():
        # What is pasted elsewhere is never cut off.
        fold = name in ("JOB", "EXTRACTOR", "RESOURCE")
        table.add_column(
            name,
            width=column_width,
            no_wrap=not fold,
            overflow="fold" if fold else "ellipsis",
            justify="right" if name == "ELAPSED" else "left",
        )
    for listed in found.jobs:
        job = listed.job
        table.add_row(
            status_text(job.status, stalled=listed.stall is not None),
            one_line(job.job_id),
            one_line(job.extractor_id),
            one_line(job.resource_id),
            relative(job.updated_at, now),
            _elapsed(job, now),
            _words(listed),
        )
    return table


def _fitting(texts: Iterable[str], most: int) -> int:
    """Choose a column's width: as wide as its texts, within bounds."""
    return max(9, min(most, max(cell_len(text) for text in texts)))


def _print_narrow(console: Console, found: JobList, now: datetime) -> None:
    """Print two lines per job, and a third one for what is wrong with it."""
    margin = " " * (_STATUS_WIDTH + 2)
    room = console.width - len(margin)
    job_width = max(9, room - _UPDATED_WIDTH - _ELAPSED_WIDTH - 4)
    times_header = f"{'UPDATED':<{_UPDATED_WIDTH}}  {'ELAPSED':>{_ELAPSED_WIDTH}}"
    console.print(
        Text(f"{'STATUS':<{len(margin)}}{'JOB':<{job_width}}  {times_header}", style=QUIET),
        no_wrap=True,
        overflow="crop",
    )
    for listed in found.jobs:
        job = listed.job
        line = status_text(job.status, stalled=listed.stall is not None)
        line.pad_right(len(margin) - line.cell_len)
        line.append(
            f"{one_line(job.job_id):<{job_width}}  {relative(job.updated_at, now):<{_UPDATED_WIDTH}}  ", style="default"
        )
        elapsed = _elapsed(job, now)
        elapsed.pad_left(_ELAPSED_WIDTH - elapsed.cell_len)
        console.print(line.append_text(elapsed), soft_wrap=True)
        console.print(
            Text(f"{margin}{one_line(job.extractor_id)} on {one_line(job.resource_id)}", style=QUIET), soft_wrap=True
        )
        if listed.stall is not None or job.status is Status.ERROR:
            words = _words(listed)
            words.truncate(room, overflow="ellipsis")
            console.print(Text(margin).append_text(words), soft_wrap=True)


def _words(listed: ListedJob) -> Text:
    """Say the one thing that matters most of a job: why it is stalled, else its latest message."""
    if listed.stall is not None:
        return Text(f"stalled: {one_line(listed.stall.evidence)}", style=WARNING)
    words = one_line(listed.job.message)
    return Text(words, style=BAD if listed.job.status is Status.ERROR else "")


def _elapsed(job: JobState, now: datetime) -> Text:
    """Tell how long a finished job took, or how long a running one has been at it."""
    if job.elapsed_s is not None:
        return Text(duration(job.elapsed_s))
    if job.started_at is not None and job.status.is_running:
        return Text(f"{duration(max(0, int((now - job.started_at).total_seconds())))}…", style=QUIET)
    return Text("-", style=QUIET)


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

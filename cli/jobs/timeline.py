"""`jobtrail timeline`: what one job's workers said, printed event by event, so that any number of them can be shown."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.jobs.timeline_printer import EventPrinter, JobFacts, print_end, print_head
from jobtrail.cli.output.console import make_console
from jobtrail.cli.output.formats import one_line
from jobtrail.models.errors import NotFoundError, SettingError
from jobtrail.models.jobs.job import Event, JobState
from jobtrail.models.jobs.timeline import Step, is_late, read_steps, slowest_step
from jobtrail.operations.job_list import ListedJob
from jobtrail.operations.schemas.jobs import EventSchema, JobSchema
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.without_job_id import UnnamedRepository


def timeline(
    job_id: Annotated[str | None, typer.Argument(help="The job.", show_default=False)] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep following until the job ends.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the latest events, this many.")] = None,
    resource: Annotated[
        str | None, typer.Option(help="Without a JOB_ID: the updates on this resource without a job id.")
    ] = None,
    extractor: Annotated[str | None, typer.Option(help="Together with --resource: from this extractor.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one job's attempts and events, how long each step took, and what is missing.

    With --json: one object; with --json --follow: one event per line (JSON Lines).
    """
    if job_id is not None:
        if resource or extractor:
            raise SettingError("give either a JOB_ID, or --resource and --extractor, not both")
        run_interruptible(_show_job(job_id, follow=follow, limit=limit, as_json=as_json))
    elif resource and extractor:
        if follow:
            raise SettingError("--follow needs a JOB_ID")
        run_interruptible(_show_unnamed(extractor, resource, limit=limit, as_json=as_json))
    else:
        raise SettingError("give a JOB_ID, or --resource and --extractor for updates without a job id")


async def _show_job(job_id: str, *, follow: bool, limit: int | None, as_json: bool) -> None:
    settings = current_settings()
    async with open_database(settings) as database:
        repository = JobRepository(database)
        job = await repository.get(job_id)
        detector = StallDetector(database, settings)
        if as_json and follow:
            await _follow_as_lines(repository, job, limit)
        elif as_json:
            await _write_json(repository, detector, job, limit)
        else:
            await _print_job(repository, detector, job, limit, follow=follow)


def _skipped(job: JobState, limit: int | None) -> int:
    return max(0, job.event_count - limit) if limit else 0


def _stored_events(repository: JobRepository, job: JobState, limit: int | None) -> AsyncIterator[Event]:
    """Read the events that the job counted when it was read, so that both agree while the job goes on."""
    skipped = _skipped(job, limit)
    return repository.events(job.job_id, after=skipped, limit=job.event_count - skipped)


async def _live_events(repository: JobRepository, job: JobState) -> AsyncIterator[Event]:
    """Yield what comes after the stored events, until the job ends."""
    if job.status.is_end:
        return
    # Closed here and not when Python finds the time: the database is closed right after.
    async with aclosing(repository.follow(job.job_id, after=job.event_count)) as events:
        async for event in events:
            yield event
            if event.update.state.is_end and not (event.placement and event.placement.late):
                return


async def _write_json(repository: JobRepository, detector: StallDetector, job: JobState, limit: int | None) -> None:
    _write_object_start(JobSchema.model_validate(ListedJob(job=job, stall=await detector.stall(job))).json_object())
    await _write_events(_stored_events(repository, job, limit))


def _write_object_start(head: dict[str, object]) -> None:
    sys.stdout.write("{\n")
    for name, value in head.items():
        sys.stdout.write(f"  {json.dumps(name)}: {json.dumps(value)},\n")


async def _write_events(events: AsyncIterator[Event]) -> None:
    """Write the object's last field event by event, so that memory does not grow with their number."""
    separator = ""
    sys.stdout.write('  "events": [')
    async for event in events:
        sys.stdout.write(f"{separator}\n    {json.dumps(EventSchema.model_validate(event).json_object())}")
        separator = ","
    sys.stdout.write("\n  ]\n}\n")


async def _follow_as_lines(repository: JobRepository, job: JobState, limit: int | None) -> None:
    for events in (_stored_events(repository, job, limit), _live_events(repository, job)):
        async for event in events:
            sys.stdout.write(f"{json.dumps(EventSchema.model_validate(event).json_object())}\n")
            sys.stdout.flush()


async def _print_job(
    repository: JobRepository, detector: StallDetector, job: JobState, limit: int | None, *, follow: bool
) -> None:
    console = make_console()
    facts = await _facts(detector, job)
    print_head(console, facts)
    first_at = await _first_at(repository, job)
    # Two passes: the slowest step must be known before its line is printed, and the events need not fit into memory.
    slowest = await slowest_step(read_steps(_stored_events(repository, job, limit), first_at))
    printer = EventPrinter(console, job.missing, slowest.event.id if slowest else None)
    printer.heading()
    if skipped := _skipped(job, limit):
        printer.note(f"… {skipped:,} earlier updates not shown …")
    last: Event | None = None
    async for step in read_steps(_stored_events(repository, job, limit), first_at):
        printer.event(step)
        last = step.event
    if follow and not job.status.is_end:
        await _print_live(repository, job, printer, last, first_at)
        job = await repository.get(job.job_id)
        facts = await _facts(detector, job)
        slowest = await slowest_step(read_steps(_stored_events(repository, job, None), first_at))
    print_end(console, facts, slowest)


async def _print_live(
    repository: JobRepository, job: JobState, printer: EventPrinter, last: Event | None, first_at: datetime | None
) -> None:
    async for event in _live_events(repository, job):
        if last is not None and not is_late(event):
            printer.silence((event.update.event_time - last.update.event_time).total_seconds())
        offset_s = (event.update.event_time - (first_at or event.update.event_time)).total_seconds()
        printer.event(Step(event=event, offset_s=offset_s, length_s=None))
        last = last if is_late(event) else event


async def _first_at(repository: JobRepository, job: JobState) -> datetime | None:
    async for event in repository.events(job.job_id, limit=1):
        return event.update.event_time
    return None


async def _facts(detector: StallDetector, job: JobState) -> JobFacts:
    instances = await detector.instances(job.extractor_id) if job.instance_id else ()
    instance = next((each for each in instances if each.instance_id == job.instance_id), None)
    return JobFacts(job=job, stall=await detector.stall(job), instance=instance, now=datetime.now(UTC))


async def _show_unnamed(extractor: str, resource: str, *, limit: int | None, as_json: bool) -> None:
    async with open_database(current_settings()) as database:
        repository = UnnamedRepository(database)
        count = await repository.count(extractor, resource)
        if not count:
            raise NotFoundError(f"no update of {extractor!r} on {resource!r} lacks a job id")
        skipped = max(0, count - limit) if limit else 0
        events = _tail(repository.events(extractor, resource), skipped)
        if as_json:
            _write_object_start({"job_id": None, "extractor_id": extractor, "resource_id": resource})
            await _write_events(events)
            return
        console = make_console()
        console.print(f"No job ID: {one_line(extractor)} on {one_line(resource)}", style="bold", soft_wrap=True)
        printer = EventPrinter(console, {}, None)
        printer.heading()
        if skipped:
            printer.note(f"… {skipped:,} earlier updates not shown …")
        async for step in read_steps(events):
            printer.event(step)


async def _tail(events: AsyncIterator[Event], skipped: int) -> AsyncIterator[Event]:
    async for event in events:
        if skipped > 0:
            skipped -= 1
        else:
            yield event

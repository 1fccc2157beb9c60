"""`jobtrail datasets show`: one dataset's whole story."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console as Terminal
from rich.table import Table
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, word_text
from jobtrail.models.datasets.dataset import Answer, LogType, valid_dataset_id
from jobtrail.models.times import clock, relative
from jobtrail.operations.schemas.datasets import StorySchema
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.story import MAX_OF_A_KIND, DatasetStories, Moment, MomentKind, Story

_BAD_STATES = ("Failed", "failed", "failure", "ERROR")
_KIND_WIDTH = max(len(kind) for kind in MomentKind)


def show(
    dataset_id: Annotated[str, typer.Argument(help="The dataset.", show_default=False)], as_json: JsonOption = False
) -> None:
    """Show one dataset's timeline: log, API answers, jobs, batch jobs, notifications, messages."""
    story = run_interruptible(_read(valid_dataset_id(dataset_id)))
    if as_json:
        write_json(StorySchema.of_story(story, datetime.now(UTC)).json_object())
    else:
        _print(story)


async def _read(dataset_id: str) -> Story:
    settings = current_settings()
    async with open_database(settings) as database:
        return await DatasetStories(Console(database, settings)).read(dataset_id)


def _print(story: Story) -> None:
    terminal = make_console()
    _print_head(terminal, story)
    for kind in story.cut:
        words = f"Only the latest {MAX_OF_A_KIND:,} entries of this kind are shown: {kind}"
        terminal.print(Text(words, style=WARNING), soft_wrap=True)
    for day, moments in groupby(story.moments, key=_day):
        heading = f"── {day} "
        terminal.print(Text(heading + "─" * max(0, min(terminal.width, 100) - len(heading)), style=QUIET))
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style=QUIET, no_wrap=True, width=8)
        grid.add_column(style=QUIET, no_wrap=True, width=_KIND_WIDTH)
        grid.add_column(overflow="fold")
        for moment in moments:
            grid.add_row("" if moment.at is None else f"{moment.at:%H:%M:%S}", moment.kind, _words(moment))
        terminal.print(grid)


def _day(moment: Moment) -> str:
    return "no time known" if moment.at is None else f"{moment.at:%Y-%m-%d} UTC"


def _print_head(terminal: Terminal, story: Story) -> None:
    dataset = story.dataset
    terminal.print(Text(f"Dataset {one_line(dataset.dataset_id)}", style="bold"), soft_wrap=True)
    terminal.print(word_text(one_line(dataset.status)))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _facts(story, datetime.now(UTC)):
        grid.add_row(f"  {name}", value)
    terminal.print(grid)
    terminal.print()


def _facts(story: Story, now: datetime) -> Iterator[tuple[str, str | Text]]:
    dataset = story.dataset
    if dataset.flaw:
        yield "not watched", Text(one_line(dataset.flaw), style=BAD)
    schedule = f", training {one_line(dataset.training_schedule)}" if dataset.training_schedule else ""
    yield "group", "(not there)" if dataset.group is None else f"{one_line(dataset.group)}{schedule}"
    for name, moment in (("requested", dataset.created_at), ("since", story.status_since)):
        if moment:
            yield name, f"{clock(moment)}  ({relative(moment, now)})"
    if dataset.progress is not None:
        yield "progress", f"{dataset.progress:.0f} %"
    if dataset.ruling:
        yield "decided by", f"{dataset.ruling.source}: {one_line(dataset.ruling.reason)}"
    for source, answer in dataset.answers.items():
        yield f"{source} {'says' if source == 'api' else 'say'}", _said(answer, now)
    if dataset.error_message:
        yield "error", Text(one_line(dataset.error_message), style=BAD)


def _said(answer: Answer, now: datetime) -> Text:
    if answer.status:
        words = word_text(answer.status.value)
        words.append(f" {answer.progress:.0f} %" if answer.progress is not None else "")
    else:
        words = Text(f"nothing ({one_line(answer.problem or 'no status')})", style=WARNING)
    since = f"since {clock(answer.since)}, " if answer.since else ""
    return words.append(f"  {since}asked {relative(answer.at, now)}", style=QUIET)


def _words(moment: Moment) -> Text:
    facts = moment.facts
    words = Text()
    event_type = facts.get("event_type")
    if event_type is not None and (event_type != LogType.STATUS_UPDATE or moment.state is None):
        words.append(f"{one_line(str(event_type))} ", style=BAD if event_type == LogType.FAILURE else "")
    if facts.get("from"):
        words.append(f"{one_line(str(facts['from']))} → ", style=QUIET)
    if moment.state:
        words.append_text(word_text(one_line(moment.state))).append(" ")
    if facts.get("problem"):
        words.append(f"{facts['problem']} ", style=WARNING)
    progress = facts.get("progress")
    if isinstance(progress, int | float):
        words.append(f"{progress:.0f} % ")
    if moment.subject:
        words.append(one_line(moment.subject), style="bold")
    words.append(_aside(moment), style=QUIET)
    if moment.message:
        words.append(f"\n{one_line(moment.message)}", style=BAD if moment.state in _BAD_STATES else "")
    return words


def _aside(moment: Moment) -> str:
    facts = moment.facts
    notes = [f"job {one_line(str(facts['job_id']))}"] if facts.get("job_id") else []
    if moment.kind is MomentKind.DELIVERY or facts.get("attempts") not in (None, 0, 1):
        notes.append(f"attempts: {facts.get('attempts')}")
    if moment.kind is MomentKind.NOTIFICATION:
        notes.append("read" if facts.get("read_at") else "not read yet")
    return f" ({', '.join(notes)})" if notes else ""

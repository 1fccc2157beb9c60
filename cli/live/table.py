"""The live table of `jobtrail up`: draws snapshots for any width of terminal, without I/O."""

from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Column, Table
from rich.text import Text

from jobtrail.cli.live.datasets import draw_datasets
from jobtrail.cli.live.jobs import LiveFigures, Snapshot
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING, sign_of, status_text, style_of
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import END_WORDS, Status
from jobtrail.store.jobs.without_job_id import UnnamedGroup

_FRAME_LINES = 7
"""Lines besides the rows of the table: header, rules, column names, figures, hints."""
_WIDE = 110
"""The least width for all columns."""
_VERY_WIDE = 180
"""The least width for ids in full."""
_SHORT_ID = 8
_BAR_CELLS = 7
_GROUPS = 3
"""The latest groups of updates without a job id that are shown."""
_RUNNING_STYLE = style_of(Status.PROCESSING)


@dataclass(slots=True, frozen=True, kw_only=True)
class Surroundings:
    """What stands around the table and does not come from the database."""

    program: str
    """How `jobtrail` is called here."""
    services: str
    """The addresses of pages, broker and database, without passwords."""
    logs: str
    """Where the logs are."""
    started_at: datetime
    notice: str | None = None
    """The latest problem or recovery."""


def draw(snapshot: Snapshot, around: Surroundings, *, width: int, height: int) -> RenderableType:
    """Draw one snapshot, as high as the terminal."""
    datasets = draw_datasets(snapshot, wide=width >= _WIDE, height=height)
    rows = max(1, height - _FRAME_LINES - len(datasets) - (1 if around.notice else 0))
    parts: list[RenderableType] = [
        *_header(snapshot, around),
        Rule(style=QUIET),
        _table(snapshot, rows, width),
        Rule(style=QUIET),
        *datasets,
        _figures(snapshot.figures, wide=width >= _WIDE),
    ]
    if around.notice:
        parts.append(_line((around.notice, WARNING)))
    parts.append(_hints(snapshot, around, width))
    return Group(*parts)


def plain_job(job: JobState) -> str:
    """Describe a job's state in one line, for output that is not a terminal."""
    attempt = f"attempt {job.attempts}  " if job.attempts else ""
    user = f"for {job.user_id}  " if job.user_id else ""
    return f"{job.extractor_id}  {job.job_id}  {job.status}  {attempt}{user}{_one_line(job.message)}"


def plain_group(group: UnnamedGroup) -> str:
    """Describe updates without a job id in one line, for output that is not a terminal."""
    return f"{group.extractor_id}  no job id, resource {group.resource_id}  {group.status}  {_one_line(group.message)}"


def _header(snapshot: Snapshot, around: Surroundings) -> list[RenderableType]:
    figures = snapshot.figures
    all_online = figures.extractors_online == figures.extractors
    uptime = stopwatch((snapshot.at - around.started_at).total_seconds())
    first = _line(
        ("JobTrail", "bold"),
        (f"  up {uptime} · {figures.events_per_s:.1f} events/s · ", ""),
        (f"{figures.extractors_online}/{figures.extractors} extractors online", GOOD if all_online else WARNING),
    )
    return [first, _line((around.services, QUIET))]


def _table(snapshot: Snapshot, rows: int, width: int) -> RenderableType:
    wide = width >= _WIDE
    id_length = None if width >= _VERY_WIDE else _SHORT_ID
    table = Table(
        *_columns(wide=wide),
        box=None,
        expand=True,
        pad_edge=False,
        padding=(0, 2 if wide else 1, 0, 0),
        header_style=QUIET,
    )
    entries = [(_began(job), _job_cells(job, snapshot, id_length)) for job in snapshot.jobs]
    # A job's line keeps its place while the job runs; a group never ends, so its line moves up with each update.
    entries += [(group.updated_at, _group_cells(group, id_length)) for group in snapshot.unnamed[:_GROUPS]]
    entries.sort(key=lambda entry: entry[0], reverse=True)
    for _, cells in entries[:rows]:
        table.add_row(*(cells if wide else [cells[column] for column in _NARROW]))
    filler = [Text() for _ in range(rows - len(entries))]
    if not entries:
        filler[0] = Text("No jobs yet: the first one shows up here.", style=QUIET)
    return Group(table, *filler)


_NARROW = (0, 1, 3, 4, 5, 7, 8)
"""The columns for narrow terminals: all but resource and start."""


def _columns(*, wide: bool) -> list[Column]:
    columns = [
        Column("EXTRACTOR", no_wrap=True, max_width=24),
        Column("JOB", no_wrap=True),
        Column("RESOURCE", no_wrap=True),
        Column("USER", no_wrap=True, max_width=12),
        Column("STATUS", no_wrap=True, min_width=14),
        Column("ATTEMPTS" if wide else "TRY", no_wrap=True, justify="right"),
        Column("STARTED", no_wrap=True),
        Column("ELAPSED", no_wrap=True, justify="right"),
        Column("LATEST MESSAGE", no_wrap=True, ratio=1, overflow="ellipsis"),
    ]
    return columns if wide else [columns[column] for column in _NARROW]


def _job_cells(job: JobState, snapshot: Snapshot, id_length: int | None) -> list[Text]:
    end = job.finished_at or snapshot.at
    elapsed = stopwatch((end - job.started_at).total_seconds()) if job.started_at else ""
    settled = QUIET if job.status.is_end else ""
    return [
        Text(job.extractor_id),
        Text(job.job_id[:id_length], style=QUIET),
        Text(job.resource_id[:id_length], style=QUIET),
        Text(job.user_id or "", style=settled),
        _state(job, stalled=job.job_id in snapshot.figures.stalled),
        Text(str(job.attempts or ""), style=WARNING if job.attempts > 1 else settled),
        Text(_clock(job.started_at), style=QUIET),
        Text(elapsed, style=settled),
        Text(_one_line(job.message), style=BAD if job.status is Status.ERROR else settled),
    ]


def _group_cells(group: UnnamedGroup, id_length: int | None) -> list[Text]:
    message = Text(f"{_one_line(group.message)} · ", style=QUIET).append(f"{group.event_count} updates")
    return [
        Text(group.extractor_id),
        Text("no id", style=f"italic {QUIET}"),
        Text(group.resource_id[:id_length], style=QUIET),
        Text(),
        status_text(group.status),
        Text(),
        Text(_clock(group.first_at), style=QUIET),
        Text(stopwatch((group.updated_at - group.first_at).total_seconds()), style=QUIET),
        message,
    ]


def _state(job: JobState, *, stalled: bool) -> Text:
    """Show a running job's progress, if it reports any; else its status."""
    if stalled or job.percent is None or not job.status.is_running:
        return status_text(job.status, stalled=stalled)
    filled = round(job.percent / 100 * _BAR_CELLS)
    bar = Text(f"{sign_of(job.status)} ", style=_RUNNING_STYLE)
    bar.append("━" * filled, style=_RUNNING_STYLE)
    bar.append("─" * (_BAR_CELLS - filled), style=QUIET)
    return bar.append(f"{job.percent:4.0f}%", style=_RUNNING_STYLE)


def _figures(figures: LiveFigures, *, wide: bool) -> Text:
    parts = [(f"{sign_of(Status.PROCESSING)} {figures.running} running", _RUNNING_STYLE)]
    parts.append((f"{sign_of(Status.SUBMITTED)} {figures.waiting} waiting", style_of(Status.SUBMITTED)))
    for status, word in END_WORDS.items():
        count = figures.jobs.get(status, 0)
        if count:
            parts.append((f"{sign_of(status)} {count:,}{f' {word}' if wide else ''}", style_of(status)))
    stalled = len(figures.stalled)
    parts.append((f"{stalled} stalled", WARNING if stalled else QUIET))
    dead = figures.dead_letters
    text = "dead letters unknown" if dead is None else f"{dead} dead letter{'' if dead == 1 else 's'}"
    parts.append((text, BAD if dead else QUIET))
    return _line(*[part for each in parts for part in (each, ("   ", ""))][:-1])


def _hints(snapshot: Snapshot, around: Surroundings, width: int) -> Text:
    newest = max(snapshot.jobs, key=_began, default=None)
    look = f"{around.program} timeline {newest.job_id}" if newest and width >= _WIDE else f"{around.program} jobs"
    return _line(("Ctrl-C", "bold"), (" stops · elsewhere: ", QUIET), (look, ""), (f" · logs: {around.logs}", QUIET))


def _line(*parts: tuple[str, str]) -> Text:
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")


def _began(job: JobState) -> datetime:
    return job.submitted_at or job.started_at or job.updated_at


def _clock(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%H:%M:%S") if moment else ""


def stopwatch(seconds: float) -> str:
    """Write a running duration, such as `0:07`, `12:05` or `2:03:04`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _one_line(text: str) -> str:
    return " ".join(text.split())

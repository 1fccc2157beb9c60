"""`jobtrail datasets pending`, `stuck`, `changes`, `failures`, `errors`, `diff`: the lists."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line, parse_since
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, word_text
from jobtrail.cli.output.status_list import Columns, Line, print_lines, print_next
from jobtrail.models.datasets.dataset import Answer, LogType, StatusSource
from jobtrail.models.times import duration, relative
from jobtrail.operations.schemas.datasets import DatasetListSchema, DatasetSchema, LogListSchema
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.views import DatasetRow, DatasetViews, LogRow
from jobtrail.store.keyset import Page

T = TypeVar("T")

_LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Rows per page.")]
_CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Continue where the last page ended: its `next`.", show_default=False)
]
_SinceOption = Annotated[str, typer.Option("--since", help="Only since then: 30m, 2h, 1d, 1w, or a time in ISO 8601.")]


def pending(*, limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False) -> None:
    """List the datasets that are Pending or Analyzing, the longest without an update first."""
    _list_datasets(_PENDING, lambda views: views.pending(limit=limit, cursor=cursor), as_json=as_json)


def stuck(
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", help="No update for so long (30m, 2h, 1d), or since a time in ISO 8601.")
    ] = "2h",
    limit: _LimitOption = 20,
    cursor: _CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the datasets that are Pending or Analyzing and have had no update for long, with the reason if known."""
    before = parse_since(older_than, datetime.now(UTC), option="--older-than")
    _list_datasets(_STUCK, lambda views: views.stuck(before=before, limit=limit, cursor=cursor), as_json=as_json)


def changes(
    *, since: _SinceOption = "1d", limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False
) -> None:
    """List the changes of status, the latest first."""
    _list_logs(_CHANGES, since, limit=limit, cursor=cursor, as_json=as_json)


def failures(
    *, since: _SinceOption = "1d", limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False
) -> None:
    """List the changes of status that were refused or could not be made, the latest first."""
    _list_logs(_FAILURES, since, limit=limit, cursor=cursor, as_json=as_json)


def errors(
    *, since: _SinceOption = "1d", limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False
) -> None:
    """List the datasets with an error message, the latest first."""
    after = parse_since(since, datetime.now(UTC))
    _list_datasets(_ERRORS, lambda views: views.with_errors(since=after, limit=limit, cursor=cursor), as_json=as_json)


def diff(*, limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False) -> None:
    """List the datasets whose sources, API and events, disagree: what each says, since when, and who decided."""
    _list_datasets(_DIFF, lambda views: views.disputed(limit=limit, cursor=cursor), as_json=as_json)


@dataclass(slots=True, frozen=True, kw_only=True)
class DatasetList:
    """How one list of datasets looks."""

    columns: Columns
    line: Callable[[DatasetRow, datetime], Line]
    empty: str
    """What to say when there is none."""
    hints: Sequence[str]
    """What to do then."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LogList:
    """Which log entries one list holds, and how it looks."""

    type: LogType
    empty: str
    remark_style: str


def _list_datasets(
    look: DatasetList, ask: Callable[[DatasetViews], Awaitable[Page[DatasetRow]]], *, as_json: bool
) -> None:
    """Read one page of datasets and print it."""
    found = run_interruptible(_read(ask))
    now = datetime.now(UTC)
    if as_json:
        page = DatasetListSchema(datasets=[DatasetSchema.of(row, now) for row in found.rows], next=found.next)
        write_json(page.json_object())
        return
    lines = [look.line(row, now) for row in found.rows]
    _print(lines, look.columns, found.next, look.empty, look.hints)


def _list_logs(look: LogList, since: str, *, limit: int, cursor: str | None, as_json: bool) -> None:
    """Read one page of entries of the creation log and print it."""
    now = datetime.now(UTC)
    after = parse_since(since, now)
    found = run_interruptible(_read(lambda views: views.logs(look.type, since=after, limit=limit, cursor=cursor)))
    if as_json:
        page = LogListSchema.model_validate(found)
        write_json(page.json_object())
        return
    lines = [_log_line(row, now, look.remark_style) for row in found.rows]
    _print(lines, _LOG_COLUMNS, found.next, look.empty, ["Look further back with:  --since 1w"])


async def _read(ask: Callable[[DatasetViews], Awaitable[Page[T]]]) -> Page[T]:
    settings = current_settings()
    async with open_database(settings) as database:
        return await ask(DatasetViews(Console(database, settings)))


def _print(lines: Sequence[Line], columns: Columns, cursor: str | None, empty: str, hints: Sequence[str]) -> None:
    console = make_console()
    if not lines:
        console.print(empty)
        for hint in hints:
            console.print(Text(f"  {hint}", style=QUIET))
        return
    print_lines(console, columns, lines)
    print_next(console, cursor)


def _open_line(row: DatasetRow, now: datetime) -> Line:
    return Line(
        state=word_text(one_line(row.status)),
        name=_name(row),
        details=[_group(row.group), row.training_schedule or ""],
        ends=[_ago(row.created_at, now), _ago(row.updated_at, now)],
        remark=_trouble(row),
    )


def _stuck_line(row: DatasetRow, now: datetime) -> Line:
    return Line(
        state=word_text(one_line(row.status)),
        name=_name(row),
        details=[_group(row.group)],
        ends=[_stuck_for(row, now)],
        remark=_trouble(row),
    )


def _error_line(row: DatasetRow, now: datetime) -> Line:
    return Line(
        state=word_text(one_line(row.status)),
        name=_name(row),
        details=[_group(row.group)],
        ends=[_ago(row.updated_at, now)],
        remark=_trouble(row) if row.flaw else Text(one_line(row.error_message or ""), style=BAD),
    )


def _diff_line(row: DatasetRow, now: datetime) -> Line:
    won = f"{row.ruling.source}: {one_line(row.ruling.reason)}" if row.ruling else "not decided yet"
    return Line(
        state=word_text(one_line(row.status)),
        name=_name(row),
        details=[_said(row.answers.get(source)) for source in StatusSource],
        ends=[_ago(row.said_since, now)],
        remark=_trouble(row) if row.flaw else Text(won),
    )


def _log_line(row: LogRow, now: datetime, remark_style: str) -> Line:
    change = Text(f"{one_line(row.from_status)} → ", style=QUIET) if row.from_status else Text()
    change.append_text(word_text(one_line(row.to_status)) if row.to_status else Text("-"))
    return Line(
        state=change,
        name=row.dataset_id or "?",
        details=[_group(row.group), row.source or ""],
        ends=[_ago(row.created_at, now)],
        remark=Text(one_line(row.message or ""), style=remark_style),
    )


def _name(row: DatasetRow) -> str:
    return row.dataset_id or f"(history {row.key})"


def _group(name: str | None) -> str:
    return "(not there)" if name is None else name


def _ago(moment: datetime | None, now: datetime) -> str:
    return "?" if moment is None else relative(moment, now)


def _stuck_for(row: DatasetRow, now: datetime) -> str:
    if row.updated_at is None:
        return "?"
    seconds = max(0, int((now - row.updated_at).total_seconds()))
    return duration(seconds if seconds < 60 else seconds // 60 * 60)


def _said(answer: Answer | None) -> str:
    if answer is None:
        return "-"
    return answer.status.value if answer.status else answer.problem or "-"


def _trouble(row: DatasetRow) -> Text:
    """Say what keeps a dataset from going on, if anything is known to."""
    if row.flaw:
        return Text(f"not watched, the history is not valid: {one_line(row.flaw)}", style=BAD)
    return Text(one_line(row.problem), style=WARNING) if row.problem else Text()


_PENDING = DatasetList(
    columns=Columns(
        state="STATUS",
        name="DATASET",
        details=["GROUP", "SCHEDULE"],
        ends=["CREATED", "UPDATED"],
        remark="PROBLEM",
    ),
    line=_open_line,
    empty="No dataset is Pending or Analyzing.",
    hints=[
        "Finished ones:  jobtrail datasets changes",
        "Add one:        jobtrail datasets add DATASET_ID --group NAME",
    ],
)
_STUCK = DatasetList(
    columns=Columns(state="STATUS", name="DATASET", details=["GROUP"], ends=["_STUCK FOR"], remark="PROBLEM"),
    line=_stuck_line,
    empty="No dataset is stuck.",
    hints=["Open ones:  jobtrail datasets pending"],
)
_ERRORS = DatasetList(
    columns=Columns(state="STATUS", name="DATASET", details=["GROUP"], ends=["UPDATED"], remark="ERROR"),
    line=_error_line,
    empty="No errors in that time.",
    hints=["Look further back with:  --since 1w"],
)
_DIFF = DatasetList(
    columns=Columns(state="STORED", name="DATASET", details=["API", "EVENTS"], ends=["SINCE"], remark="DECISION"),
    line=_diff_line,
    empty="The API and the events agree on every dataset that both know.",
    hints=["Which sources are in use?  jobtrail doctor"],
)
_CHANGES = LogList(type=LogType.STATUS_UPDATE, empty="No status changes in that time.", remark_style="")
_FAILURES = LogList(type=LogType.FAILURE, empty="No failed changes in that time.", remark_style=BAD)
_LOG_COLUMNS = Columns(state="CHANGE", name="DATASET", details=["GROUP", "SOURCE"], ends=["WHEN"], remark="MESSAGE")

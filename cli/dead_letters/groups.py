"""`jobtrail deadletters groups` and `note`: dead letters by cause, and what fixed them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.selection import CursorOption, LimitOption
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING
from jobtrail.cli.output.status_list import WIDE, print_next
from jobtrail.models.dead_letters.dead_letter import CauseGroup, Fix
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.models.times import relative
from jobtrail.operations.dead_letters import DeadLetterActs
from jobtrail.operations.schemas.dead_letters import GroupListSchema, GroupSchema
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.keyset import Page

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"
_COUNT_WIDTH = 26


def groups(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Include groups without open dead letters.")] = False,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters by cause, the latest first: how many, since when, and what fixed them last time."""
    found = run_interruptible(_read(unsettled_only=not everything, limit=limit, cursor=cursor))
    if as_json:
        write_json(GroupListSchema.model_validate(found).json_object())
    else:
        print_groups(found, unsettled_only=not everything)


async def _read(*, unsettled_only: bool, limit: int, cursor: str | None) -> Page[CauseGroup]:
    async with open_database(current_settings()) as database:
        return await CauseRepository(database).list(unsettled_only=unsettled_only, limit=limit, cursor=cursor)


def note(
    group: Annotated[str, typer.Argument(help="The group, as `groups` shows it.", metavar="GROUP")],
    text: Annotated[str, typer.Argument(help="What fixed it; an empty text removes the note.", metavar="TEXT")],
    as_json: JsonOption = False,
) -> None:
    """Note how a group was fixed, for whoever meets it next."""
    noted = run_interruptible(_note(group, text))
    if as_json:
        write_json(GroupSchema.model_validate(noted).json_object())
    else:
        typer.echo(f"✔ Note {'saved' if noted.fix else 'removed'}.  See it:  jobtrail deadletters groups --all")


async def _note(group: str, text: str) -> CauseGroup:
    async with open_database(current_settings()) as database:
        await DeadLetterActs(database, audit_book(database)).note(this_account(), group, text)
        return await CauseRepository(database).get(group)


def print_groups(found: Page[CauseGroup], *, unsettled_only: bool) -> None:
    """Print groups: as a table if there is room, else a few lines each."""
    console = make_console()
    if not found.rows:
        _print_empty(console, unsettled_only=unsettled_only)
        return
    now = datetime.now(UTC)
    if console.width >= WIDE:
        console.print(_table(found.rows, now))
    else:
        for group in found.rows:
            _print_group(console, group, now)
    print_next(console, found.next)
    first = found.rows[0].id
    console.print(Text(f"\nDead letters:  jobtrail deadletters list --group {first}", style=QUIET))
    console.print(Text(f"Dry run:       jobtrail deadletters replay --group {first} --dry-run", style=QUIET))


def _print_empty(console: Console, *, unsettled_only: bool) -> None:
    if unsettled_only:
        console.print(Text.assemble(("✔ ", GOOD), "There are no open dead letters."))
        console.print(Text("  Groups without open ones:    jobtrail deadletters groups --all", style=QUIET))
    else:
        console.print("No dead letters yet.")
    console.print(Text("  Is a capture running?        jobtrail doctor", style=QUIET))


def sparkline(counts: Sequence[int]) -> str:
    """Draw each count as a block, scaled to the highest one; a dot for zero."""
    most = max(counts, default=0)
    return "".join(_BLOCKS[-(-count * len(_BLOCKS) // most) - 1] if count else _NOTHING for count in counts)


def _print_group(console: Console, group: CauseGroup, now: datetime) -> None:
    cause = group.cause
    counts = _counts(group).append(" open", style=QUIET)
    counts.pad_right(_COUNT_WIDTH - counts.cell_len)
    seen = Text.assemble(("last ", QUIET), relative(group.last_seen, now))
    seen.append(f", first {relative(group.first_seen, now)}", style=QUIET)
    console.print(Text.assemble((group.id, "bold"), "  ", counts, seen))
    reason = f"  {one_line(cause.reason)}: "
    words = Text.assemble((reason, "bold"), _error(group))
    words.truncate(console.width, overflow="ellipsis")
    console.print(words)
    console.print(Padding(Text(_place(group), style=QUIET, overflow="fold"), (0, 0, 0, 2), expand=False))
    console.print(Text.assemble("  ", (sparkline(group.hours), "cyan"), ("  48 hours", QUIET)))
    if group.fix:
        console.print(Padding(_fix(group.fix, now), (0, 0, 0, 2), expand=False))
    console.print()


def _table(groups: Sequence[CauseGroup], now: datetime) -> Table:
    table = make_table()
    table.add_column("GROUP", no_wrap=True, width=max(cell_len(group.id) for group in groups))
    table.add_column("OPEN", no_wrap=True, justify="right")
    table.add_column("FIRST SEEN", no_wrap=True, justify="right")
    table.add_column("LAST SEEN", no_wrap=True, justify="right")
    table.add_column("48 HOURS", no_wrap=True, width=48)
    table.add_column("CAUSE", overflow="fold")
    for group in groups:
        cause = Text.assemble((f"{one_line(group.cause.reason)}: ", "bold"), _error(group))
        cause.append(f"\n{_place(group)}", style=QUIET)
        if group.fix:
            cause.append("\n").append_text(_fix(group.fix, now))
        table.add_row(
            Text(group.id),
            _counts(group),
            relative(group.first_seen, now),
            relative(group.last_seen, now),
            Text(sparkline(group.hours), style="cyan"),
            cause,
        )
    return table


def _counts(group: CauseGroup) -> Text:
    return Text.assemble((f"{group.unsettled:,}", BAD if group.unsettled else GOOD), (f" of {group.total:,}", QUIET))


def _error(group: CauseGroup) -> str:
    return one_line(group.cause.error) or reason_words(group.cause.reason)


def _place(group: CauseGroup) -> str:
    cause = group.cause
    sender = f"{cause.extractor_id} {cause.version}".strip()
    origin = f"from {cause.origin}" if cause.origin else "origin unknown"
    parts = [sender, origin, f"in {cause.queue}" if cause.queue != cause.origin else ""]
    return one_line(", ".join(part for part in parts if part))


def _fix(fix: Fix, now: datetime) -> Text:
    words = f"✎ last time: {one_line(fix.note)} ({one_line(fix.who)}, {relative(fix.at, now)})"
    return Text(words, style=WARNING)

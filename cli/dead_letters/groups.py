"""Reads the groups of dead letters and prints them; notes what mended one."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jobtrail.cli.access.audit_log_note import note, whoever
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING
from jobtrail.cli.output.status_list import WIDE, print_next
from jobtrail.models.dead_letters.dead_letter import CauseGroup, Fix
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.models.times import relative
from jobtrail.operations.schemas.dead_letters import GroupListSchema, GroupSchema
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.keyset import Page

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOTHING = "·"
_COUNT_WIDTH = 26


async def read(*, unsettled_only: bool, limit: int, cursor: str | None) -> Page[CauseGroup]:
    """Read one page of groups; see `CauseRepository.list`."""
    async with open_database(current_settings()) as database:
        return await CauseRepository(database).list(unsettled_only=unsettled_only, limit=limit, cursor=cursor)


async def note_fix(cause_id: str, words: str | None) -> CauseGroup:
    """Note what mended a group.

    Args:
        cause_id: The group.
        words: The note; None takes it away.

    Returns:
        The group as it is now.

    Raises:
        NotFoundError: There is no such group.
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    async with open_database(current_settings()) as database:
        causes = CauseRepository(database)
        await causes.note(cause_id, Fix(note=words, who=whoever(), at=datetime.now(UTC)) if words else None)
        await note(database, "letters.note", target=f"group {cause_id}", details={"note": (words or "removed")[:200]})
        return await causes.get(cause_id)


def print_json(found: Page[CauseGroup]) -> None:
    """Print groups as one JSON object.

    Args:
        found: The page.
    """
    write_json(GroupListSchema.of(found).json_object())


def print_group_json(group: CauseGroup) -> None:
    """Print one group as one JSON object."""
    write_json(GroupSchema.of(group).json_object())


def print_groups(found: Page[CauseGroup], *, unsettled_only: bool) -> None:
    """Print groups: a table where there is room, else a few lines each.

    Args:
        found: The page.
        unsettled_only: Whether only those with letters to be looked at were asked for.
    """
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
    console.print(Text(f"\nIts letters:  jobtrail deadletters list --group {first}", style=QUIET))
    console.print(Text(f"Dry run:      jobtrail deadletters replay --group {first} --dry-run", style=QUIET))


def _print_empty(console: Console, *, unsettled_only: bool) -> None:
    if unsettled_only:
        console.print(Text.assemble(("✔ ", GOOD), "No dead letter is to be looked at."))
        console.print(Text("  Groups whose letters are settled:  jobtrail deadletters groups --all", style=QUIET))
    else:
        console.print("No dead letter was captured yet.")
    console.print(Text("  Does anything capture them?        jobtrail doctor", style=QUIET))


def sparkline(counts: Sequence[int]) -> str:
    """Draw counts as one character each.

    Args:
        counts: The counts, not negative.

    Returns:
        Blocks as high as the count is, by the highest one; a dot for none.
    """
    most = max(counts, default=0)
    return "".join(_BLOCKS[-(-count * len(_BLOCKS) // most) - 1] if count else _NOTHING for count in counts)


def _print_group(console: Console, group: CauseGroup, now: datetime) -> None:
    cause = group.cause
    counts = _counts(group).append(" unsettled", style=QUIET)
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
    table.add_column("UNSETTLED", no_wrap=True, justify="right")
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
    origin = f"from {cause.origin}" if cause.origin else "from nobody knows where"
    parts = [sender, origin, f"in {cause.queue}" if cause.queue != cause.origin else ""]
    return one_line(", ".join(part for part in parts if part))


def _fix(fix: Fix, now: datetime) -> Text:
    words = f"✎ last time: {one_line(fix.note)} ({one_line(fix.who)}, {relative(fix.at, now)})"
    return Text(words, style=WARNING)

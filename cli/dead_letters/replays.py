"""`jobtrail deadletters replays`: all replays, or the receipt of one."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.list import state_text
from jobtrail.cli.dead_letters.selection import CursorOption, LimitOption
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING, word_text
from jobtrail.cli.output.status_list import Columns, Line, print_page
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterFilter, LetterState
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.times import clock, relative
from jobtrail.operations.schemas.replays import ReplayListSchema, ReplaySchema
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replays import ReplayRepository
from jobtrail.store.keyset import Page

_OUTCOMES = (LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.UNKNOWN, LetterState.REPLAYED)
_FAILED_SHOWN = 10
_COLUMNS = Columns(state="STATE", name="REPLAY", details=["TO", "WHO"], ends=["SENT", "REQUESTED"], remark="OUTCOMES")


def replays(
    replay_id: Annotated[
        str | None, typer.Argument(help="Only this one, with its receipt.", metavar="[REPLAY]", show_default=False)
    ] = None,
    *,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the replays, the newest first, or show the progress and the outcomes of one."""
    run_interruptible(_show(replay_id, limit=limit, cursor=cursor, as_json=as_json))


async def _show(replay_id: str | None, *, limit: int, cursor: str | None, as_json: bool) -> None:
    async with open_database(current_settings()) as database:
        if replay_id is not None:
            await show_receipt(database, replay_id, as_json=as_json)
            return
        found = await ReplayRepository(database).list(limit=limit, cursor=cursor)
    if as_json:
        write_json(ReplayListSchema.model_validate(found).json_object())
    else:
        print_list(found)


async def show_receipt(database: Database, replay_id: str, *, as_json: bool) -> Replay:
    """Print one replay and the newest dead letters of it that failed again, and return it."""
    replay = await ReplayRepository(database).get(replay_id)
    if as_json:
        write_json(ReplaySchema.model_validate(replay).json_object())
        return replay
    wanted = LetterFilter(replay_id=replay_id, states=(LetterState.FAILED_AGAIN,))
    failed = await LetterRepository(database).list(wanted, limit=_FAILED_SHOWN) if replay.failed else None
    print_receipt(replay, failed.rows if failed else ())
    return replay


def print_list(found: Page[Replay]) -> None:
    """Print a page of replays."""
    now = datetime.now(UTC)
    print_page(
        _COLUMNS,
        [_line(replay, now) for replay in found.rows],
        found.next,
        empty="No replays yet.",
        way_out="What can be replayed:  jobtrail deadletters groups",
    )


def _line(replay: Replay, now: datetime) -> Line:
    words = outcome_words(replay)
    remark = ": ".join(part for part in (words, one_line(replay.detail)) if part)
    return Line(
        state=word_text(replay.state.value),
        name=replay.id,
        details=[replay.target or "each to its origin", replay.who],
        ends=[f"{replay.sent:,} of {replay.total:,}", relative(replay.asked_at, now)],
        remark=Text(remark, style=BAD if replay.failed else ""),
    )


def outcome_words(replay: Replay) -> str:
    """Summarize the outcomes in one line, such as `18 resolved, 2 failed again`."""
    named = {state: state.value.replace("_", " ") for state in _OUTCOMES} | {LetterState.REPLAYED: "pending"}
    return ", ".join(f"{replay.counts[state]:,} {named[state]}" for state in _OUTCOMES if replay.counts.get(state))


def print_receipt(replay: Replay, failed: Sequence[DeadLetter]) -> None:
    """Print a replay with its outcomes."""
    console = make_console()
    console.print(_head(replay), soft_wrap=True)
    if replay.detail:
        console.print(Text(f"  {one_line(replay.detail)}", style=BAD if replay.state is ReplayState.HALTED else QUIET))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    for state in _OUTCOMES:
        if count := replay.counts.get(state):
            words = Text("○ pending", style=WARNING) if state is LetterState.REPLAYED else state_text(state)
            grid.add_row(Text("  ").append_text(words), f"{count:,}")
    console.print(grid)
    _print_failed(console, replay, failed)
    where = f"to {one_line(replay.target)}" if replay.target else "each to its origin"
    console.print(Text(f"  by {one_line(replay.who)}, {clock(replay.asked_at)}, {where}", style=QUIET), soft_wrap=True)
    if not replay.state.is_end or replay.pending:
        console.print(Text(f"\nLook again:  jobtrail deadletters replays {replay.id}", style=QUIET))
    if not replay.state.is_end:
        console.print(Text(f"Stop it:     jobtrail deadletters cancel {replay.id}", style=QUIET))


def _head(replay: Replay) -> Text:
    sent = f"{replay.sent:,} of {replay.total:,} dead letter{'' if replay.total == 1 else 's'} sent"
    signs = {ReplayState.DONE: ("✔ ", GOOD), ReplayState.HALTED: ("✖ ", BAD), ReplayState.CANCELLED: ("⊘ ", WARNING)}
    sign = signs.get(replay.state, ("● ", "blue"))
    if replay.state is ReplayState.DONE and replay.failed:
        sign = ("✖ ", BAD)
    state = "" if replay.state is ReplayState.DONE else f" {replay.state}:"
    return Text.assemble(sign, ("Replay ", ""), (replay.id, "bold"), f"{state or ':'} {sent}")


def _print_failed(console: Console, replay: Replay, failed: Sequence[DeadLetter]) -> None:
    for letter in failed:
        last = letter.sendings[-1] if letter.sendings else None
        why = one_line(last.detail if last else letter.error)
        line = Text.assemble(("    ✖ ", BAD), letter.id, f"  {why}")
        line.truncate(console.width, overflow="ellipsis")
        console.print(line)
    hidden = replay.failed - len(failed)
    if failed and hidden > 0:
        hint = "jobtrail deadletters list --state failed_again"
        console.print(Text(f"    … and {hidden:,} more:  {hint}", style=QUIET))

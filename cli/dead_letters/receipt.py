"""Reads replays and prints them: all, one, or the receipt of one that has just ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.lists import state_text
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
_COLUMNS = Columns(state="STATE", name="REPLAY", details=["TO", "WHO"], ends=["SENT", "ASKED"], remark="OUTCOMES")


@dataclass(slots=True, frozen=True, kw_only=True)
class Receipt:
    """A replay, and the letters of it that failed again."""

    replay: Replay
    failed: Sequence[DeadLetter]
    """The newest of them."""


async def read_list(*, limit: int, cursor: str | None) -> Page[Replay]:
    """Read one page of replays; see `ReplayRepository.list`."""
    async with open_database(current_settings()) as database:
        return await ReplayRepository(database).list(limit=limit, cursor=cursor)


async def read_one(replay_id: str) -> Receipt:
    """Read one replay.

    Args:
        replay_id: Its id.

    Returns:
        The replay.

    Raises:
        NotFoundError: There is none.
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    async with open_database(current_settings()) as database:
        return await receipt(database, replay_id)


async def receipt(database: Database, replay_id: str) -> Receipt:
    """Read one replay; see `read_one`."""
    replay = await ReplayRepository(database).get(replay_id)
    wanted = LetterFilter(replay_id=replay_id, states=(LetterState.FAILED_AGAIN,))
    failed = await LetterRepository(database).list(wanted, limit=_FAILED_SHOWN) if replay.failed else None
    return Receipt(replay=replay, failed=failed.rows if failed else ())


def print_list_json(found: Page[Replay]) -> None:
    """Print replays as one JSON object."""
    write_json(ReplayListSchema.of(found).json_object())


def print_one_json(replay: Replay) -> None:
    """Print one replay as one JSON object."""
    write_json(ReplaySchema.of(replay).json_object())


def print_list(found: Page[Replay]) -> None:
    """Print replays as a list.

    Args:
        found: The page.
    """
    now = datetime.now(UTC)
    print_page(
        _COLUMNS,
        [_line(replay, now) for replay in found.rows],
        found.next,
        empty="Nothing was replayed yet.",
        way_out="What there is to replay:  jobtrail deadletters groups",
    )


def _line(replay: Replay, now: datetime) -> Line:
    words = outcome_words(replay)
    told = Text.assemble(words, ": " if words and replay.detail else "", one_line(replay.detail))
    return Line(
        state=word_text(replay.state.value),
        name=replay.id,
        details=[replay.target or "where each came from", replay.who],
        ends=[f"{replay.sent:,} of {replay.total:,}", relative(replay.asked_at, now)],
        remark=Text(told.plain, style=BAD if replay.failed else ""),
    )


def outcome_words(replay: Replay) -> str:
    """Say in one line what became of the letters that were sent.

    Args:
        replay: The replay.

    Returns:
        Such as `18 resolved, 2 failed again`.
    """
    named = {state: state.value.replace("_", " ") for state in _OUTCOMES} | {LetterState.REPLAYED: "not known yet"}
    return ", ".join(f"{replay.counts[state]:,} {named[state]}" for state in _OUTCOMES if replay.counts.get(state))


def print_receipt(found: Receipt) -> None:
    """Print a replay with what became of its letters.

    Args:
        found: The replay.
    """
    console, replay = make_console(), found.replay
    console.print(_head(replay), soft_wrap=True)
    if replay.detail:
        console.print(Text(f"  {one_line(replay.detail)}", style=BAD if replay.state is ReplayState.HALTED else QUIET))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True, justify="right")
    for state in _OUTCOMES:
        if count := replay.counts.get(state):
            words = Text("○ not known yet", style=WARNING) if state is LetterState.REPLAYED else state_text(state)
            grid.add_row(Text("  ").append_text(words), f"{count:,}")
    console.print(grid)
    _print_failed(console, found)
    where = one_line(replay.target or "where each came from")
    asked = f"  by {one_line(replay.who)}, {clock(replay.asked_at)}, to {where}"
    console.print(Text(asked, style=QUIET), soft_wrap=True)
    if not replay.state.is_end or replay.pending:
        console.print(Text(f"\nLook again:  jobtrail deadletters replays {replay.id}", style=QUIET))
    if not replay.state.is_end:
        console.print(Text(f"Stop it:     jobtrail deadletters cancel {replay.id}", style=QUIET))


def _head(replay: Replay) -> Text:
    sent = f"{replay.sent:,} of {replay.total:,} letter{'' if replay.total == 1 else 's'} sent"
    signs = {ReplayState.DONE: ("✔ ", GOOD), ReplayState.HALTED: ("✖ ", BAD), ReplayState.CANCELLED: ("⊘ ", WARNING)}
    sign = signs.get(replay.state, ("● ", "blue"))
    if replay.state is ReplayState.DONE and replay.failed:
        sign = ("✖ ", BAD)
    state = "" if replay.state is ReplayState.DONE else f" {replay.state}:"
    return Text.assemble(sign, ("Replay ", ""), (replay.id, "bold"), f"{state or ':'} {sent}")


def _print_failed(console: Console, found: Receipt) -> None:
    for letter in found.failed:
        last = letter.sendings[-1] if letter.sendings else None
        why = one_line(last.detail if last else letter.error)
        line = Text.assemble(("    ✖ ", BAD), letter.id, f"  {why}")
        line.truncate(console.width, overflow="ellipsis")
        console.print(line)
    hidden = found.replay.failed - len(found.failed)
    if found.failed and hidden > 0:
        hint = "jobtrail deadletters list --state failed_again"
        console.print(Text(f"    … and {hidden:,} more:  {hint}", style=QUIET))

"""Makes sure that the letters of a choice are there, and that many of them are meant."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import typer

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.selection import Choice
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.errors import NotFoundError
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository


def confirmed(
    which: Choice, act: str, states: Sequence[LetterState] | None, *, yes: bool, include_repeated: bool = True
) -> LetterFilter:
    """Count the letters of a choice, and ask on a terminal whether more than one is meant.

    Args:
        which: The choice.
        act: What is to be done, as the question begins: `Replay`.
        states: Only letters in these states count; None for any.
        yes: Whether not to ask.
        include_repeated: Whether also those are meant that may be repetitions of others.

    Returns:
        The letters that were captured by now.

    Raises:
        NotFoundError: There is none, or one that was named is not there.
        SettingError: Nothing was chosen, or a setting is wrong.
        StoreError: The database can't be reached.
        typer.Exit: Somebody said no.
    """
    now = datetime.now(UTC)
    selection = which.letters(now)
    selection = selection if include_repeated else selection.to_replay()
    selection = replace(selection, until=min(selection.until, now) if selection.until else now)
    count = run_interruptible(_count(selection, states))
    asks = count > 1 and not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asks and not typer.confirm(f"{act} {count:,} letters ({which.words()})?", err=True):
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(ExitCode.FAILED)
    return selection


async def _count(selection: LetterFilter, states: Sequence[LetterState] | None) -> int:
    async with open_database(current_settings()) as database:
        return await count_chosen(database, selection, states)


async def count_chosen(database: Database, selection: LetterFilter, states: Sequence[LetterState] | None) -> int:
    """Count the letters of a choice.

    Args:
        database: The trail's database.
        selection: The letters.
        states: Only letters in these states count; None for any.

    Returns:
        How many there are, at least one.

    Raises:
        NotFoundError: There is none, or one that was named is not there.
        StoreError: The database can't be reached.
    """
    letters = LetterRepository(database)
    if selection.ids is not None:
        known = {letter.id for letter in (await letters.list(selection, limit=len(selection.ids))).rows}
        missing = [letter_id for letter_id in selection.ids if letter_id not in known]
        if missing:
            more = f" (and {len(missing) - 1:,} more that were named)" if len(missing) > 1 else ""
            raise NotFoundError(f"there is no dead letter {missing[0]!r}{more}")
    count = await letters.count(replace(selection, states=states))
    if not count:
        which = f" that is {' or '.join(state.value.replace('_', ' ') for state in states)}" if states else ""
        raise NotFoundError(f"there is no such dead letter{which}; see jobtrail deadletters list --state any")
    return count

"""Which dead letters a command is about: the options that select them, and the question whether so many are meant."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import Field

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import option_name
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.dead_letters.filter import DeadLetterFilter
from jobtrail.models.errors import NotFoundError, SettingError
from jobtrail.models.filters import Name, Shown, shown
from jobtrail.operations.dead_letters import selection_words
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Rows per page.")]
CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Continue after a page: its `next`.", show_default=False)
]


class Choice(DeadLetterFilter):
    """Dead letters that something is to be done with; choosing none is not choosing all."""

    ids: Annotated[
        list[str],
        typer.Argument(help="These dead letters, as `list` shows them.", metavar="LETTER", show_default=False),
    ] = Field(default_factory=list)
    everything: Annotated[bool, typer.Option("--all", help="All dead letters.")] = False

    def selection(self) -> LetterFilter:
        """Make the selection; `SettingError` if nothing was chosen, or in two ways at once."""
        selection = super().selection()
        ways = [bool(self.ids), selection != LetterFilter(), self.everything]
        if not any(ways):
            fields = type(self).model_fields
            options = ", ".join(option_name(name, field) for name, field in fields.items() if shown(field))
            raise SettingError(f"select dead letters: name them, or use options ({options}), or take --all")
        if sum(ways) > 1:
            raise SettingError("name dead letters, or select them by options, or take --all; not two of these")
        return replace(selection, ids=tuple(dict.fromkeys(self.ids)) or None)


class ChoiceToDiscard(Choice):
    """Dead letters that are to be discarded: there `--reason` says why that is done."""

    reason: Annotated[Name | None, Shown(option="--with-reason")] = Field(
        None, description="Only dead letters with this reason."
    )


def confirmed(
    which: Choice, act: str, states: Sequence[LetterState] | None, *, yes: bool, include_repeated: bool = True
) -> LetterFilter:
    """Check that a choice selects dead letters that exist by now, and confirm on a terminal if it is more than one."""
    now = datetime.now(UTC)
    selection = which.selection()
    selection = selection if include_repeated else selection.to_replay()
    selection = replace(selection, until=min(selection.until, now) if selection.until else now)
    count = run_interruptible(_count(selection, states))
    asks = count > 1 and not yes and sys.stdin.isatty() and sys.stderr.isatty()
    if asks and not typer.confirm(f"{act} {counted(count)} ({selection_words(selection)})?", err=True):
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(ExitCode.FAILED)
    return selection


async def _count(selection: LetterFilter, states: Sequence[LetterState] | None) -> int:
    async with open_database(current_settings()) as database:
        return await count_selected(database, selection, states)


async def count_selected(database: Database, selection: LetterFilter, states: Sequence[LetterState] | None) -> int:
    """Count the dead letters of a selection in some states, None for any.

    Raises:
        NotFoundError: There are none, or a named one does not exist.
    """
    letters = LetterRepository(database)
    if selection.ids is not None:
        known = {letter.id for letter in (await letters.list(selection, limit=len(selection.ids))).rows}
        missing = [letter_id for letter_id in selection.ids if letter_id not in known]
        if missing:
            more = f" (nor {len(missing) - 1:,} others)" if len(missing) > 1 else ""
            raise NotFoundError(f"there is no dead letter {missing[0]!r}{more}")
    count = await letters.count(replace(selection, states=states))
    if not count:
        which = f" that is {' or '.join(state.value.replace('_', ' ') for state in states)}" if states else ""
        raise NotFoundError(f"no dead letter matches{which}; see jobtrail deadletters list --state any")
    return count


def counted(count: int) -> str:
    """Say how many dead letters."""
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"

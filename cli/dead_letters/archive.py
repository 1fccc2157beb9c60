"""`jobtrail deadletters discard` and `restore`: into the archive, and out of it."""

import json
from typing import Annotated

import typer

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.selection import Choice, ChoiceToDiscard, YesOption, confirmed, counted
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, LetterFilter, LetterState
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import SettingError
from jobtrail.operations.dead_letters import DeadLetterActs


@with_options
def discard(
    *,
    which: ChoiceToDiscard,
    why: Annotated[str, typer.Option("--reason", help="Why they are discarded; it stays with them.", metavar="TEXT")],
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Archive dead letters, with a reason. Nothing is deleted; `restore` reopens them."""
    if why.strip() in set(DeadLetterReason):
        raise SettingError(
            f"--reason says why they are discarded; to select those with the reason {why}: --with-reason {why}"
        )
    selection = confirmed(which, "Discard", UNSETTLED, yes=yes)
    count = run_interruptible(_discard(selection, why))
    _show(as_json, "discarded", count, "Reopen them:  jobtrail deadletters restore LETTER")


async def _discard(selection: LetterFilter, why: str) -> int:
    async with open_database(current_settings()) as database:
        with ProgressTeller("Discarding dead letters") as teller:
            acts = DeadLetterActs(database, audit_book(database))
            return await acts.discard(this_account(), selection, why, teller.note)


@with_options
def restore(*, which: Choice, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Reopen archived dead letters."""
    selection = confirmed(which, "Restore", (LetterState.DISCARDED,), yes=yes)
    count = run_interruptible(_restore(selection))
    _show(as_json, "restored", count, "See them:  jobtrail deadletters list")


async def _restore(selection: LetterFilter) -> int:
    async with open_database(current_settings()) as database:
        with ProgressTeller("Restoring dead letters") as teller:
            acts = DeadLetterActs(database, audit_book(database))
            return await acts.restore(this_account(), selection, teller.note)


def _show(as_json: bool, done: str, count: int, hint: str) -> None:
    typer.echo(json.dumps({done: count}) if as_json else f"✔ {counted(count)} {done}.\n{hint}")

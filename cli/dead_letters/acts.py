"""What is done with dead letters: `replay`, `edit`, `discard`, `restore`, `export`, `import`."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.dead_letters.selection import Choice, ChoiceToDiscard, takes

_YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask whether more than one letter is meant.")]


@takes(Choice)
def replay(
    *,
    which: Choice,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing: judge by today's code what it would come to.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(
            help="Send them to this queue; else each to where it came from.", metavar="QUEUE", show_default=False
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Letters per second at the most.", metavar="N", show_default=False)
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--at-once", help="Don't wait for outcomes after the first and the tenth letter.")
    ] = False,
    include_repeated: Annotated[
        bool, typer.Option("--include-repeated", help="Also letters that may be repetitions of others.")
    ] = False,
    yes: _YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send letters again: one, ten, then the rest, and halt by itself when one fails again.

    Killed, it goes on where it was; no letter is sent twice.
    Ctrl-C stops it after the batch in hand; what was sent stays sent.
    Then it waits up to 30 seconds for what becomes of the letters.

    Exit code 1 when it halted, when letters failed again, or when somebody else
    is replaying them.
    """
    from jobtrail.cli.dead_letters.chosen import confirmed
    from jobtrail.cli.dead_letters.judged import judge, print_judged
    from jobtrail.cli.dead_letters.judged import print_json as print_judged_json
    from jobtrail.cli.dead_letters.receipt import Receipt, print_one_json, print_receipt
    from jobtrail.cli.dead_letters.replay import show_replay
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.models.dead_letters.dead_letter import UNSETTLED

    selection = confirmed(which, "Replay", UNSETTLED, yes=yes or dry_run, include_repeated=include_repeated)
    if dry_run:
        result = run_interruptible(judge(selection, to))
        if as_json:
            print_judged_json(result)
        else:
            print_judged(result)
        return

    def show(found: Receipt) -> None:
        if as_json:
            print_one_json(found.replay)
        else:
            print_receipt(found)

    code = run_interruptible(
        show_replay(
            selection,
            words=which.words(),
            target=to,
            rate=rate,
            staged=not at_once,
            include_repeated=include_repeated,
            show=show,
        )
    )
    if code:
        raise typer.Exit(code)


def edit(
    letter: Annotated[str, typer.Argument(help="The letter, as `list` shows it.", metavar="LETTER")],
    *,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a field: name=text, or name:=JSON; a.b goes into objects.", show_default=False),
    ] = None,
    unset: Annotated[list[str] | None, typer.Option(help="Take a field away.", show_default=False)] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="Set a header: name=text, or name:=JSON.", show_default=False)
    ] = None,
    unset_header: Annotated[list[str] | None, typer.Option(help="Take a header away.", show_default=False)] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Send the letter's own bytes again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Change what a replay sends for a letter; the letter keeps its own bytes.

    Without options the body is opened in $VISUAL or $EDITOR. Secrets are masked
    there; where they stay masked, they stay what they are.
    """
    from jobtrail.cli.dead_letters.edit import Edits, edit_letter, print_edited, print_edited_json
    from jobtrail.models.errors import SettingError

    edits = Edits.of(fields=set_ or (), no_fields=unset or (), headers=header or (), no_headers=unset_header or ())
    if revert and (edits.fields or edits.headers):
        raise SettingError("--revert goes with no other option")
    before, after = edit_letter(letter, edits, revert=revert)
    if as_json:
        print_edited_json(after)
    else:
        print_edited(before, after)


@takes(ChoiceToDiscard)
def discard(
    *,
    which: ChoiceToDiscard,
    why: Annotated[str, typer.Option("--reason", help="Why they are discarded; it stays with them.", metavar="TEXT")],
    yes: _YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put letters into the archive, with a reason; nothing is deleted, and `restore` takes them back."""
    from jobtrail.cli.dead_letters.chosen import confirmed
    from jobtrail.cli.dead_letters.moves import discard as put_away
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.models.dead_letters.dead_letter import UNSETTLED
    from jobtrail.models.dead_letters.reasons import DeadLetterReason
    from jobtrail.models.errors import SettingError

    if not why.strip():
        raise SettingError("--reason must say why they are discarded")
    if why.strip() in set(DeadLetterReason):
        raise SettingError(f"--reason says why they are discarded; those of the reason {why} are: --with-reason {why}")
    selection = confirmed(which, "Discard", UNSETTLED, yes=yes)
    count = run_interruptible(put_away(selection, words=which.words(), reason=why))
    _tell(as_json, "discarded", count, "Take them back:  jobtrail deadletters restore LETTER")


@takes(Choice)
def restore(*, which: Choice, yes: _YesOption = False, as_json: JsonOption = False) -> None:
    """Take discarded letters out of the archive: they are open again."""
    from jobtrail.cli.dead_letters.chosen import confirmed
    from jobtrail.cli.dead_letters.moves import restore as take_back
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.models.dead_letters.dead_letter import LetterState

    selection = confirmed(which, "Restore", (LetterState.DISCARDED,), yes=yes)
    count = run_interruptible(take_back(selection, words=which.words()))
    _tell(as_json, "restored", count, "See them:  jobtrail deadletters list")


@takes(Choice)
def export(
    *,
    which: Choice,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only in these states, or `any`. Without it those to be looked at; of named letters, any.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file; - is stdout.", metavar="FILE", show_default=False)
    ] = "-",
    as_json: JsonOption = False,
) -> None:
    """Write letters as JSON Lines, secrets included: bytes, properties, and why each is there.

    The file is made readable by you alone (mode 0600).
    With a file, --json prints how many letters were written.
    """
    from jobtrail.cli.dead_letters.chosen import confirmed
    from jobtrail.cli.dead_letters.files import STANDARD
    from jobtrail.cli.dead_letters.files import export as write
    from jobtrail.cli.dead_letters.lists import read_states
    from jobtrail.cli.interruptible import run_interruptible

    states = None if which.ids and not state else read_states(state or ())
    selection = confirmed(which, "Export", states, yes=True)
    count = run_interruptible(write(selection, states, output, words=which.words()))
    if output != STANDARD:
        secrets = f"They hold secrets; {output} can be read by you alone."
        _tell(as_json, "exported", count, f"{secrets}\nBring them in elsewhere:  jobtrail deadletters import {output}")


def import_(
    file: Annotated[str, typer.Argument(help="A file that `export` wrote; - is stdin.", metavar="FILE")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Bring in letters that `export` wrote; each is open then. One that is there already is passed over.

    Where one line is no letter, nothing is brought in.
    """
    import json

    from jobtrail.cli.dead_letters.files import import_ as bring_in
    from jobtrail.cli.interruptible import run_interruptible

    new, known = run_interruptible(bring_in(file))
    if as_json:
        typer.echo(json.dumps({"new": new, "known": known}))
    else:
        there = f", {known:,} there already" if known else ""
        typer.echo(f"✔ {_letters(new)} brought in{there}.\nSee them:  jobtrail deadletters groups")


def _tell(as_json: bool, done: str, count: int, hint: str) -> None:
    import json

    if as_json:
        typer.echo(json.dumps({done: count}))
    else:
        typer.echo(f"✔ {_letters(count)} {done}.\n{hint}")


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"

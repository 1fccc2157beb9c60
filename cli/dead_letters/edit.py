"""`jobtrail deadletters edit`: change what a replay sends, by fields and headers, or in an editor."""

import json
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.text import Text

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.editor import edited
from jobtrail.cli.dead_letters.show import print_changes
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.deadletters.editing import masked_body
from jobtrail.deadletters.properties import Json
from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.errors import SettingError
from jobtrail.operations.dead_letter_view import LetterView, content_of, look_at
from jobtrail.operations.dead_letters import DeadLetterActs, MessageEdit
from jobtrail.operations.schemas.dead_letters import LetterDetailSchema
from jobtrail.store.dead_letters.dead_letters import LetterRepository


def edit(
    letter: Annotated[str, typer.Argument(help="The dead letter, as `list` shows it.", metavar="LETTER")],
    *,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Set a field: name=text, name:=JSON; a.b is a nested field.", show_default=False),
    ] = None,
    unset: Annotated[list[str] | None, typer.Option(help="Remove a field.", show_default=False)] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="Set a header: name=text, or name:=JSON.", show_default=False)
    ] = None,
    unset_header: Annotated[list[str] | None, typer.Option(help="Remove a header.", show_default=False)] = None,
    revert: Annotated[bool, typer.Option("--revert", help="Send the original bytes again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Change what a replay sends for a dead letter, which keeps its own bytes.

    Without options the body opens in $VISUAL or $EDITOR. Secrets are masked
    there; those that stay masked stay unchanged.
    """
    change = MessageEdit(
        fields={**_pairs("--set", set_ or ()), **dict.fromkeys(unset or ())},
        headers={**_pairs("--header", header or ()), **dict.fromkeys(unset_header or ())},
    )
    is_named = bool(change.fields or change.headers)
    if revert and is_named:
        raise SettingError("--revert can't be combined with other options")
    before = run_interruptible(_read(letter))
    if not revert and not is_named:
        change = MessageEdit(body=_from_editor(before))
    after = run_interruptible(_edit(letter, None if revert else change))
    if as_json:
        write_json(LetterDetailSchema.model_validate(after).json_object())
    else:
        print_edited(before, after.letter)


async def _read(letter_id: str) -> DeadLetter:
    async with open_database(current_settings()) as database:
        return await LetterRepository(database).get(letter_id)


async def _edit(letter_id: str, change: MessageEdit | None) -> LetterView:
    settings = current_settings()
    async with open_database(settings) as database:
        acts = DeadLetterActs(database, audit_book(database))
        if change is None:
            await acts.revert(this_account(), letter_id)
        else:
            await acts.edit(this_account(), letter_id, change)
        return await look_at(settings, database, letter_id)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":").strip()
        if not equals or not name:
            raise SettingError(f"{option} {text[:80]!r} must be name=text, or name:=JSON")
        try:
            found[name] = json.loads(value) if is_json else value
        except ValueError as error:
            raise SettingError(f"{option} {name}: what follows := must be JSON") from error
    return found


def _from_editor(letter: DeadLetter) -> str:
    """Let the user edit the body: JSON is indented in the editor, and on one line in the message."""
    shown = masked_body(letter.outgoing[0])
    if shown is None:
        raise SettingError("the body is not UTF-8 text: only its headers can be edited")
    try:
        pretty = json.dumps(json.loads(shown), indent=2, ensure_ascii=False) + "\n"
    except ValueError:
        pretty = shown
    text = edited(pretty, name=f"letter-{letter.id}.json")
    if text.rstrip("\n") == pretty.rstrip("\n"):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return text


def print_edited(before: DeadLetter, after: DeadLetter) -> None:
    """Print what was changed."""
    console = make_console()
    words = " sends its own bytes again:" if after.edit is None else " edited. A replay sends:"
    console.print(Text.assemble(("✔ ", GOOD), "Dead letter ", (after.id, "bold"), words), soft_wrap=True)
    print_changes(console, content_of(*before.outgoing), content_of(*after.outgoing))
    console.print(Text(f"\nReplay it:  jobtrail deadletters replay {after.id}", style=QUIET))
    if after.edit is not None:
        console.print(Text(f"Undo this:  jobtrail deadletters edit {after.id} --revert", style=QUIET))

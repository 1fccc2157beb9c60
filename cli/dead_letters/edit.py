"""Edits what a replay of a dead letter will send: by fields and headers, or as a whole in an editor."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import typer
from rich.text import Text

from jobtrail.cli.access.audit_log_note import note, whoever
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.editor import edited
from jobtrail.cli.dead_letters.show import print_changes
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.deadletters.editing import masked_body, with_body, with_fields
from jobtrail.deadletters.properties import Json
from jobtrail.models.dead_letters.dead_letter import DeadLetter, Edit
from jobtrail.models.errors import SettingError
from jobtrail.operations.dead_letter_view import LetterView, content_of, look_at
from jobtrail.operations.schemas.dead_letters import LetterDetailSchema
from jobtrail.store.dead_letters.dead_letters import LetterRepository


@dataclass(slots=True, frozen=True, kw_only=True)
class Edits:
    """What is to be changed; values by name, None takes one away."""

    fields: Mapping[str, Json | None]
    headers: Mapping[str, Json | None]

    @classmethod
    def of(
        cls, *, fields: Sequence[str], no_fields: Sequence[str], headers: Sequence[str], no_headers: Sequence[str]
    ) -> "Edits":
        """Read the options.

        Args:
            fields: `name=text` or `name:=JSON`.
            no_fields: Names of fields that are taken away.
            headers: The same as fields.
            no_headers: Names of headers that are taken away.

        Returns:
            The changes.

        Raises:
            SettingError: An option is none of these.
        """
        return cls(
            fields={**_pairs("--set", fields), **dict.fromkeys(no_fields)},
            headers={**_pairs("--header", headers), **dict.fromkeys(no_headers)},
        )

    def words(self) -> Mapping[str, str]:
        """Tell what is changed, without values, which may be secrets."""
        named = {"fields": ", ".join(self.fields), "headers": ", ".join(self.headers)}
        return {name: words for name, words in named.items() if words}


def _pairs(option: str, texts: Sequence[str]) -> Mapping[str, Json]:
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


def edit_letter(letter_id: str, edits: Edits, *, revert: bool) -> tuple[LetterView, LetterView]:
    """Edit a letter; without any change that was named, in an editor.

    Args:
        letter_id: The letter.
        edits: What is to be changed.
        revert: Whether it is to send its own bytes again.

    Returns:
        The letter before and after.

    Raises:
        NotFoundError: There is no such letter.
        SettingError: The changes don't go with the body, no editor could be run, or a setting is wrong.
        TooLateError: The letter was sent already, or is about to be, or is closed.
        StoreError: The database can't be reached.
        typer.Exit: The editor was left without a change.
    """
    before = run_interruptible(_look(letter_id))
    letter = before.letter
    if revert:
        return before, run_interruptible(_store(letter_id, None, {"reverted": "yes"}))
    if edits.fields or edits.headers:
        edit = with_fields(letter, edits.fields, edits.headers, whoever())
        return before, run_interruptible(_store(letter_id, edit, edits.words()))
    edit = with_body(letter, _typed(letter), {}, whoever())
    return before, run_interruptible(_store(letter_id, edit, {"body": "in an editor"}))


async def _look(letter_id: str) -> LetterView:
    settings = current_settings()
    async with open_database(settings) as database:
        return await look_at(settings, database, letter_id)


async def _store(letter_id: str, edit: Edit | None, details: Mapping[str, str]) -> LetterView:
    settings = current_settings()
    async with open_database(settings) as database:
        await LetterRepository(database).edit(letter_id, edit)
        await note(database, "letters.edit", target=letter_id, details=details)
        return await look_at(settings, database, letter_id)


def _typed(letter: DeadLetter) -> str:
    """Let somebody change the body in their editor; JSON on several lines there, on one line in the message."""
    shown = masked_body(letter.outgoing[0])
    if shown is None:
        raise SettingError("the body is no text in UTF-8: only its headers can be edited")
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


def print_edited_json(view: LetterView) -> None:
    """Print an edited letter as one JSON object."""
    write_json(LetterDetailSchema.of(view).json_object())


def print_edited(before: LetterView, after: LetterView) -> None:
    """Print what was changed.

    Args:
        before: The letter as it was.
        after: The letter as it is.
    """
    console, letter = make_console(), after.letter
    words = " sends its own bytes again:" if letter.edit is None else " edited, its own bytes are kept. A replay sends:"
    console.print(Text.assemble(("✔ ", GOOD), "Letter ", (letter.id, "bold"), words), soft_wrap=True)
    print_changes(console, content_of(*before.letter.outgoing), content_of(*letter.outgoing))
    console.print(Text(f"\nReplay it:  jobtrail deadletters replay {letter.id}", style=QUIET))
    if letter.edit is not None:
        console.print(Text(f"Undo this:  jobtrail deadletters edit {letter.id} --revert", style=QUIET))

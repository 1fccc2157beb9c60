"""`jobtrail deadletters export` and `import`: dead letters as JSON Lines."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, Annotated, BinaryIO

import typer

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.list import read_states
from jobtrail.cli.dead_letters.selection import Choice, confirmed, counted
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.deadletters.archive import export_line
from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.errors import SettingError
from jobtrail.operations.dead_letters import DeadLetterActs

STANDARD = "-"
"""The name of a file that is stdin or stdout."""


@with_options
def export(
    *,
    which: Choice,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="Only in these states, or `any`. Default: open and unknown; of named dead letters, any.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", help="The file; - is stdout.", metavar="FILE", show_default=False)
    ] = "-",
    as_json: JsonOption = False,
) -> None:
    """Write dead letters as JSON Lines, secrets included: bytes, properties, and why each is there.

    Only you can read the file (mode 0600).
    With a file, --json prints how many were written.
    """
    states = None if which.ids and not state else read_states(state or ())
    selection = replace(confirmed(which, "Export", states, yes=True), states=states)
    count = run_interruptible(_export(selection, output))
    if output == STANDARD:
        return
    if as_json:
        typer.echo(json.dumps({"exported": count}))
    else:
        typer.echo(f"✔ {counted(count)} exported.\nThey contain secrets; only you can read {output}.")
        typer.echo(f"Import them elsewhere:  jobtrail deadletters import {output}")


async def _export(selection: LetterFilter, output: str) -> int:
    done = 0
    async with open_database(current_settings()) as database:
        with _written(output) as file, ProgressTeller("Exporting dead letters") as teller:
            acts = DeadLetterActs(database, audit_book(database))
            teller.total, chunks = await acts.export(this_account(), selection)
            async for letters in chunks:
                file.writelines(f"{export_line(letter)}\n" for letter in letters)
                done += len(letters)
                teller.note(done)
    return done


def import_(
    file: Annotated[str, typer.Argument(help="A file that `export` wrote; - is stdin.", metavar="FILE")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Import dead letters that `export` wrote; each is open then. Known ones are skipped.

    If one line is not a dead letter, nothing is imported.
    """
    new, known = run_interruptible(_import(file))
    if as_json:
        typer.echo(json.dumps({"new": new, "known": known}))
    else:
        skipped = f", {known:,} known already" if known else ""
        typer.echo(f"✔ {counted(new)} imported{skipped}.\nSee them:  jobtrail deadletters groups")


async def _import(source: str) -> tuple[int, int]:
    with _read(source) as file, ProgressTeller("Checking dead letters") as teller:

        def show(done: int, total: int) -> None:
            if total and not teller.total:
                teller.total = total
                teller.rename("Importing dead letters")
            teller.note(done)

        async with open_database(current_settings()) as database:
            return await DeadLetterActs(database, audit_book(database)).import_(this_account(), file, show)


@contextmanager
def _written(output: str) -> Iterator[IO[str]]:
    """Open a file that only its owner may read, as it contains secrets; it appears once it is complete."""
    if output == STANDARD:
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as device:
                yield device
            return
        # It is made with mode 0600.
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file:
            try:
                yield file.file
            except BaseException:
                Path(file.name).unlink()
                raise
        Path(file.name).replace(path)
    except OSError as error:
        raise SettingError(f"{output} can't be written: {error.strerror or error}") from error


@contextmanager
def _read(source: str) -> Iterator[BinaryIO]:
    """Open a file that can be read twice; stdin is kept in a temporary file."""
    try:
        if source == STANDARD:
            with TemporaryFile() as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
                file.seek(0)
                yield file
        else:
            with Path(source).open("rb") as file:
                yield file
    except OSError as error:
        raise SettingError(f"{source} can't be read: {error.strerror or error}") from error

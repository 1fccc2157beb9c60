"""`jobtrail import-clowder`: brings in what a Clowder stored."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import GOOD, QUIET, WARNING
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.store.clowder.importer import ClowderImport, ImportedSource

_REJECTS_SHOWN = 10


def import_clowder(
    mongo_url: Annotated[str, typer.Argument(help="The URL of Clowder's MongoDB.", metavar="MONGO_URL")],
    database: Annotated[str, typer.Option(help="The name of Clowder's database.")] = "clowder",
    as_json: JsonOption = False,
) -> None:
    """Import the extractions of Clowder 1, and the jobs and updates of Clowder 2. Clowder's database is only read.

    Safe to run again: nothing is imported twice, and an interrupted run resumes where it was. Documents that can't be
    imported are listed with the reason; the rest is imported all the same.
    """
    sources = run_interruptible(_import(mongo_url, database))
    if as_json:
        write_json({"sources": [asdict(source) for source in sources]})
    else:
        _print(make_console(), sources)


async def _import(url: str, name: str) -> Sequence[ImportedSource]:
    async with open_database(current_settings()) as database:
        with ProgressTeller("Importing") as teller:

            def note(collections: str, done: int, total: int) -> None:
                teller.rename(f"Importing {collections}")
                teller.total = total
                teller.note(done)

            return await ClowderImport(database, url, name, note).run()


def _print(console: Console, sources: Sequence[ImportedSource]) -> None:
    for source in sources:
        resumed = ", resuming an interrupted run" if source.resumed else ""
        title = f"{' and '.join(source.collections)}: {source.read:,} documents read{resumed}"
        console.print(Text.assemble(("✔ ", GOOD), title), soft_wrap=True)
        console.print(f"  {source.imported:,} events imported, {source.known:,} were there already")
        if source.rejected_count:
            _print_rejected(console, source)
    console.print(Text("See them with:  jobtrail jobs", style=QUIET))


def _print_rejected(console: Console, source: ImportedSource) -> None:
    console.print(Text(f"  {source.rejected_count:,} documents can't be imported:", style=WARNING))
    for rejected in source.rejected[:_REJECTS_SHOWN]:
        console.print(f"    {rejected.collection} {one_line(rejected.id)}: {one_line(rejected.reason)}", soft_wrap=True)
    hidden = source.rejected_count - min(len(source.rejected), _REJECTS_SHOWN)
    if hidden:
        console.print(Text(f"    … and {hidden:,} more; --json lists the first 100", style=QUIET))

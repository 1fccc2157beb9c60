"""Runs the import from a Clowder and tells what came of it."""

from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import GOOD, QUIET, WARNING
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.store.clowder.importer import ClowderImport, ImportedSource

_REJECTS_SHOWN = 10


async def show_import(url: str, name: str, *, as_json: bool) -> None:
    """Import and print.

    Args:
        url: The URL of Clowder's MongoDB.
        name: The name of Clowder's database.
        as_json: Whether to print JSON.

    Raises:
        SettingError: A setting or the URL is wrong.
        NotFoundError: There is nothing of Clowder's in that database.
        StoreError: One of the two MongoDBs can't be reached.
    """
    settings = current_settings()
    async with open_database(settings) as database:
        with ProgressTeller("Importing") as teller:

            def note(collections: str, done: int, total: int) -> None:
                teller.rename(f"Importing {collections}")
                teller.total = total
                teller.note(done)

            sources = await ClowderImport(database, url, name, note).run()
    if as_json:
        write_json({"sources": [asdict(source) for source in sources]})
    else:
        _print(make_console(), sources)


def _print(console: Console, sources: Sequence[ImportedSource]) -> None:
    for source in sources:
        resumed = ", going on where the last run was cut off" if source.resumed else ""
        title = f"{' and '.join(source.collections)}: {source.read:,} documents read{resumed}"
        console.print(Text.assemble(("✔ ", GOOD), title), soft_wrap=True)
        console.print(f"  {source.imported:,} events imported, {source.known:,} were there already")
        if source.rejected_count:
            words = f"  {source.rejected_count:,} documents can't be imported:"
            console.print(Text(words, style=WARNING))
            for rejected in source.rejected[:_REJECTS_SHOWN]:
                console.print(
                    f"    {rejected.collection} {one_line(rejected.id)}: {one_line(rejected.reason)}", soft_wrap=True
                )
            hidden = source.rejected_count - min(len(source.rejected), _REJECTS_SHOWN)
            if hidden:
                console.print(Text(f"    … and {hidden:,} more; --json lists the first 100", style=QUIET))
    console.print(Text("See them with:  jobtrail jobs", style=QUIET))

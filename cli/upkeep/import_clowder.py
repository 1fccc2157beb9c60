"""`jobtrail import-clowder`: brings in what a Clowder stored."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption


def import_clowder(
    mongo_url: Annotated[str, typer.Argument(help="The URL of Clowder's MongoDB.", metavar="MONGO_URL")],
    database: Annotated[str, typer.Option(help="The name of Clowder's database.")] = "clowder",
    as_json: JsonOption = False,
) -> None:
    """Import the extractions of Clowder 1, and the jobs and updates of Clowder 2. Clowder's database is only read.

    Safe to run again: nothing doubles, and a run that was cut off goes on where it was. Documents that can't be
    imported are listed with the reason and stop nothing.
    """
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.cli.upkeep.import_show import show_import

    run_interruptible(show_import(mongo_url, database, as_json=as_json))

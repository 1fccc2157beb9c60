"""Runs `verify` and `rebuild` and tells how far they are."""

import json
import sys
from dataclasses import asdict

from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.store.log.rebuild import Rebuild

_MAX_SHOWN = 100


async def show_verify(*, as_json: bool) -> int:
    """Compare and print.

    Args:
        as_json: Whether to print JSON.

    Returns:
        How many jobs differ.

    Raises:
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    settings = current_settings()
    differences = 0
    events = 0
    console = make_console()
    async with open_database(settings) as database:
        with ProgressTeller("Checking events") as teller:

            def note(count: int) -> None:
                nonlocal events
                events = count
                teller.note(count)

            teller.total = await database.extractions.estimated_document_count()
            if as_json:
                sys.stdout.write('{\n  "differences": [')
            async for difference in Rebuild(database, note).verify():
                if as_json:
                    separator = "," if differences else ""
                    sys.stdout.write(f"{separator}\n    {json.dumps(asdict(difference))}")
                elif differences < _MAX_SHOWN:
                    console.print(
                        Text.assemble(("✖ ", BAD), one_line(f"{difference.job_id}: {difference.what}")), soft_wrap=True
                    )
                differences += 1
    if as_json:
        sys.stdout.write(f'\n  ],\n  "count": {differences},\n  "events": {events}\n}}\n')
    elif differences:
        hidden = f" ({differences - _MAX_SHOWN:,} not shown)" if differences > _MAX_SHOWN else ""
        words = f"{_jobs(differences)} not what the events say{hidden}; make them anew with: jobtrail rebuild"
        console.print(Text(words, style=BAD), soft_wrap=True)
    else:
        console.print(Text.assemble(("✔ ", GOOD), f"Every job is what its events say ({events:,} events read)."))
    return differences


async def show_rebuild(*, as_json: bool) -> None:
    """Rebuild and print.

    Args:
        as_json: Whether to print JSON.

    Raises:
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    settings = current_settings()
    async with open_database(settings) as database:
        with ProgressTeller("Reading events") as teller:
            teller.total = await database.extractions.estimated_document_count()
            result = await Rebuild(database, teller.note).rebuild()
    if as_json:
        sys.stdout.write(f"{json.dumps(asdict(result))}\n")
        return
    changed = f"{result.changed:,} written anew, {result.removed:,} removed"
    console = make_console()
    console.print(
        Text.assemble(("✔ ", GOOD), f"{result.jobs:,} jobs from {result.events:,} events: {changed}."), soft_wrap=True
    )


def _jobs(count: int) -> str:
    return "1 job is" if count == 1 else f"{count:,} jobs are"

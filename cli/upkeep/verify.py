"""`jobtrail verify`: does every job match its events, and is every message accounted for?"""

import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console
from jobtrail.cli.output.formats import one_line, parse_since
from jobtrail.cli.output.palette import BAD, GOOD
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.cli.upkeep.message_accounting import print_accounting, print_json, read
from jobtrail.models.errors import SettingError
from jobtrail.store.log.rebuild import Rebuild

_DEFAULT_SINCE = "1d"
_MAX_SHOWN = 100


def verify(
    *,
    messages: Annotated[
        bool,
        typer.Option(
            "--messages",
            help="Account for messages instead: was each one taken from a stream stored exactly once, "
            "as an event, a duplicate or a dead letter?",
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            help="With --messages, from then on: 30m, 2h, 1d, 1w, or a time in ISO 8601; at most 35 days back. "
            f"[default: {_DEFAULT_SINCE}]",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare every job with its events. Exit code 1 when one differs; nothing is changed.

    With --json: one object with `events` read and `differences`.
    """
    if since is not None and not messages:
        raise SettingError("--since needs --messages: jobs are always compared with all their events")
    if messages:
        all_well = _verify_messages(since or _DEFAULT_SINCE, as_json=as_json)
    else:
        all_well = run_interruptible(_verify_jobs(as_json=as_json)) == 0
    if not all_well:
        raise typer.Exit(ExitCode.FAILED)


def _verify_messages(since: str, *, as_json: bool) -> bool:
    found = run_interruptible(read(parse_since(since, datetime.now(UTC))))
    if as_json:
        print_json(found)
    else:
        print_accounting(found)
    return not found.wrong


async def _verify_jobs(*, as_json: bool) -> int:
    """Print each job that differs from its events as it is found; return how many there are."""
    differences = 0
    events = 0
    console = make_console()
    async with open_database(current_settings()) as database:
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
                    words = one_line(f"{difference.job_id}: {difference.what}")
                    console.print(Text.assemble(("✖ ", BAD), words), soft_wrap=True)
                differences += 1
    if as_json:
        sys.stdout.write(f'\n  ],\n  "count": {differences},\n  "events": {events}\n}}\n')
    elif differences:
        jobs = "1 job differs" if differences == 1 else f"{differences:,} jobs differ"
        hidden = f" ({differences - _MAX_SHOWN:,} not shown)" if differences > _MAX_SHOWN else ""
        console.print(
            Text(f"{jobs} from the events{hidden}; correct with: jobtrail rebuild", style=BAD), soft_wrap=True
        )
    else:
        console.print(Text.assemble(("✔ ", GOOD), f"Every job matches its events ({events:,} events read)."))
    return differences

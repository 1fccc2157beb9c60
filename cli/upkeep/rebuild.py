"""`jobtrail rebuild`: recomputes the jobs from their events."""

import json
import sys
from dataclasses import asdict

from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console
from jobtrail.cli.output.palette import GOOD
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.store.log.rebuild import Rebuild, RebuildResult


def rebuild(as_json: JsonOption = False) -> None:
    """Recompute every job from its events; only jobs that differ are written. Safe while the consumer runs."""
    result = run_interruptible(_rebuild())
    if as_json:
        sys.stdout.write(f"{json.dumps(asdict(result))}\n")
        return
    words = (
        f"{result.jobs:,} jobs from {result.events:,} events: {result.changed:,} rewritten, {result.removed:,} removed."
    )
    make_console().print(Text.assemble(("✔ ", GOOD), words), soft_wrap=True)


async def _rebuild() -> RebuildResult:
    async with open_database(current_settings()) as database:
        with ProgressTeller("Reading events") as teller:
            teller.total = await database.extractions.estimated_document_count()
            return await Rebuild(database, teller.note).rebuild()

"""Makes datasets and groups from a file or from options, and tells what came of it."""

import sys
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.models.datasets.seed import Seed
from jobtrail.models.errors import SettingError
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.seed import DatasetSeeder, Harvest


def read_file(name: str) -> bytes:
    """Read a file, or stdin.

    Returns what it holds.
    """
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SettingError(f"{name} can't be read: {error.strerror}") from error


async def plant(seed: Seed, *, as_json: bool) -> None:
    """Make what a seed names, and print what came of it."""
    settings = current_settings()
    async with open_database(settings) as database:
        harvest = await DatasetSeeder(Console(database, settings)).plant(seed)
    if as_json:
        write_json(asdict(harvest))
    else:
        _print(harvest)


def _print(harvest: Harvest) -> None:
    console = make_console()
    kinds = (
        (harvest.groups, "group", "groups"),
        (harvest.datasets, "dataset", "datasets"),
        (harvest.crawler_schedules, "crawler schedule", "crawler schedules"),
    )
    if not any(planted.made or planted.known for planted, _one, _many in kinds):
        console.print("Nothing to make: the file names no group, no dataset and no crawler schedule.")
        return
    for planted, one, many in kinds:
        if planted.made or planted.known:
            known = f", {planted.known:,} there already" if planted.known else ""
            words = f"{planted.made:,} {one if planted.made == 1 else many} made{known}"
            console.print(Text.assemble(("✔ ", GOOD), words))
    console.print(Text("See them with:  jobtrail datasets pending", style=QUIET))

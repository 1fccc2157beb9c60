"""`jobtrail datasets add` and `seed`: make datasets and groups where no console does."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.models.datasets.dataset import valid_dataset_id
from jobtrail.models.datasets.seed import Seed, read_seed, seed_of_one
from jobtrail.models.errors import SettingError
from jobtrail.operations.dataset_acts import seed_datasets
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.seed import Harvest


def add(
    dataset_id: Annotated[str, typer.Argument(help="The dataset.", show_default=False)],
    *,
    group: Annotated[str, typer.Option(help="Its wishlist group, by name; created if there is none.")],
    schedule: Annotated[str | None, typer.Option(help="A new group's training schedule, such as manual.")] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(help="A user who is notified of a new group's datasets; may be repeated.", metavar="ID[=EMAIL]"),
    ] = None,
    viewpoint: Annotated[
        list[str] | None, typer.Option(help="A viewpoint of a new group; may be repeated.", metavar="NAME")
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(help="An extractor that a new group's datasets need; may be repeated.", metavar="NAME"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Add one dataset: its history, Pending, and its group if there is none. Existing records stay as they are."""
    wanted = seed_of_one(
        valid_dataset_id(dataset_id),
        group=group,
        training_schedule=schedule,
        users=dict(_id_and_email(text) for text in user or ()),
        viewpoints=viewpoint or (),
        required_extractors=extractor or (),
    )
    run_interruptible(_plant(wanted, as_json=as_json))


def seed(
    file: Annotated[str, typer.Argument(help="A JSON file, - for stdin; docs/cli.md describes it.", metavar="FILE")],
    as_json: JsonOption = False,
) -> None:
    """Add the groups, datasets and crawler schedules of a file: all or none. Existing records stay as they are."""
    run_interruptible(_plant(read_seed(_read_file(file)), as_json=as_json))


def _id_and_email(text: str) -> tuple[str, str | None]:
    name, _, email = text.partition("=")
    return name, email or None


def _read_file(name: str) -> bytes:
    """Read a file, or stdin for `-`."""
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise SettingError(f"{name} can't be read: {error.strerror}") from error


async def _plant(seed: Seed, *, as_json: bool) -> None:
    settings = current_settings()
    async with open_database(settings) as database:
        console = Console(database, settings)
        harvest = await seed_datasets(console, audit_book(database), this_account(), seed)
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
        console.print("Nothing to add: the file has no groups, datasets or crawler schedules.")
        return
    for planted, one, many in kinds:
        if planted.made or planted.known:
            known = f", {planted.known:,} already there" if planted.known else ""
            words = f"{planted.made:,} {one if planted.made == 1 else many} added{known}"
            console.print(Text.assemble(("✔ ", GOOD), words))
    console.print(Text("See them:  jobtrail datasets pending", style=QUIET))

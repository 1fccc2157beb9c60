"""`jobtrail datasets`: what becomes of the datasets, and a start without the console."""

from typing import Annotated

import typer

from jobtrail.cli.command_group import JsonOption, examples

datasets = typer.Typer(
    no_args_is_help=True,
    help="Look at datasets: what is pending, stuck or in dispute, what changed, and each one's whole story.",
    epilog=examples(
        "jobtrail datasets pending",
        "jobtrail datasets stuck --older-than 2h",
        "jobtrail datasets show 5cb2d2d3a4be0f9fd3400001",
    ),
)

_LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="Rows per page.")]
_CursorOption = Annotated[
    str | None, typer.Option("--cursor", help="Go on where the last page ended: its `next`.", show_default=False)
]
_SinceOption = Annotated[str, typer.Option("--since", help="Only since then: 30m, 2h, 1d, 1w, or a time in ISO 8601.")]


@datasets.command(epilog=examples("jobtrail datasets pending", "jobtrail datasets pending --limit 1000 --json"))
def pending(*, limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False) -> None:
    """List the datasets that are Pending or Analyzing, those without news for longest first."""
    from jobtrail.cli.datasets.lists import PENDING, list_datasets

    list_datasets(PENDING, lambda views: views.pending(limit=limit, cursor=cursor), as_json=as_json)


@datasets.command(epilog=examples("jobtrail datasets stuck", "jobtrail datasets stuck --older-than 1d --json"))
def stuck(
    *,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Without news for so long: 30m, 2h, 1d, or since a time in ISO 8601.")
    ] = "2h",
    limit: _LimitOption = 20,
    cursor: _CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the datasets that are Pending or Analyzing and have had no news for long, and what keeps them."""
    from datetime import UTC, datetime

    from jobtrail.cli.datasets.lists import STUCK, list_datasets
    from jobtrail.cli.output.formats import parse_since

    before = parse_since(older_than, datetime.now(UTC), option="--older-than")
    list_datasets(STUCK, lambda views: views.stuck(before=before, limit=limit, cursor=cursor), as_json=as_json)


@datasets.command(epilog=examples("jobtrail datasets changes", "jobtrail datasets changes --since 1w --json"))
def changes(
    *, since: _SinceOption = "1d", limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False
) -> None:
    """List the changes of status, the latest first."""
    from jobtrail.cli.datasets.lists import CHANGES, list_logs

    list_logs(CHANGES, since, limit=limit, cursor=cursor, as_json=as_json)


@datasets.command(epilog=examples("jobtrail datasets failures", "jobtrail datasets failures --since 1w --json"))
def failures(
    *, since: _SinceOption = "1d", limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False
) -> None:
    """List the changes of status that were refused or could not be made, the latest first."""
    from jobtrail.cli.datasets.lists import FAILURES, list_logs

    list_logs(FAILURES, since, limit=limit, cursor=cursor, as_json=as_json)


@datasets.command(epilog=examples("jobtrail datasets errors", "jobtrail datasets errors --since 1w --json"))
def errors(
    *, since: _SinceOption = "1d", limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False
) -> None:
    """List the datasets with an error message, the latest first."""
    from datetime import UTC, datetime

    from jobtrail.cli.datasets.lists import ERRORS, list_datasets
    from jobtrail.cli.output.formats import parse_since

    after = parse_since(since, datetime.now(UTC))
    list_datasets(ERRORS, lambda views: views.with_errors(since=after, limit=limit, cursor=cursor), as_json=as_json)


@datasets.command(epilog=examples("jobtrail datasets diff", "jobtrail datasets diff --json"))
def diff(*, limit: _LimitOption = 20, cursor: _CursorOption = None, as_json: JsonOption = False) -> None:
    """List the datasets whose sources, API and events, disagree: who says what, since when, who won and why."""
    from jobtrail.cli.datasets.lists import DIFF, list_datasets

    list_datasets(DIFF, lambda views: views.disputed(limit=limit, cursor=cursor), as_json=as_json)


@datasets.command(
    epilog=examples(
        "jobtrail datasets show 5cb2d2d3a4be0f9fd3400001", "jobtrail datasets show 5cb2d2d3a4be0f9fd3400001 --json"
    )
)
def show(
    dataset_id: Annotated[str, typer.Argument(help="The dataset.", show_default=False)], as_json: JsonOption = False
) -> None:
    """Show one dataset's whole story in time order: log, API answers, jobs, batch jobs, notifications, deliveries."""
    from jobtrail.cli.datasets.show import print_json, print_story, read
    from jobtrail.cli.interruptible import run_interruptible

    story = run_interruptible(read(dataset_id))
    if as_json:
        print_json(story)
    else:
        print_story(story)


@datasets.command(
    epilog=examples(
        "jobtrail datasets add 5cb2d2d3a4be0f9fd3400001 --group Fashion",
        "jobtrail datasets add demo-1 --group Demo --schedule manual --user alice=alice@example.org --viewpoint front",
    )
)
def add(
    dataset_id: Annotated[str, typer.Argument(help="The dataset.", show_default=False)],
    *,
    group: Annotated[str, typer.Option(help="Its wishlist group, by name; one that is not there is made.")],
    schedule: Annotated[str | None, typer.Option(help="A new group's training schedule, such as manual.")] = None,
    user: Annotated[
        list[str] | None,
        typer.Option(help="Who hears of a new group's datasets; may be given more than once.", metavar="ID[=EMAIL]"),
    ] = None,
    viewpoint: Annotated[
        list[str] | None, typer.Option(help="A new group's viewpoint; may be given more than once.", metavar="NAME")
    ] = None,
    extractor: Annotated[
        list[str] | None,
        typer.Option(
            help="An extractor that a new group's datasets need; may be given more than once.", metavar="NAME"
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for one dataset: make its history, Pending, and its group if that is not there. What is there stays."""
    from jobtrail.cli.datasets.seed import plant
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.models.datasets.dataset import valid_dataset_id
    from jobtrail.models.datasets.seed import seed_of_one

    seed = seed_of_one(
        valid_dataset_id(dataset_id),
        group=group,
        training_schedule=schedule,
        users=dict(_id_and_email(text) for text in user or ()),
        viewpoints=viewpoint or (),
        required_extractors=extractor or (),
    )
    run_interruptible(plant(seed, as_json=as_json))


def _id_and_email(text: str) -> tuple[str, str | None]:
    name, _, email = text.partition("=")
    return name, email or None


@datasets.command(epilog=examples("jobtrail datasets seed datasets.json", "jobtrail datasets seed - < datasets.json"))
def seed(
    file: Annotated[str, typer.Argument(help="A JSON file, - for stdin; docs/cli.md tells its form.", metavar="FILE")],
    as_json: JsonOption = False,
) -> None:
    """Make the groups, datasets and crawler schedules that a file names: all, or none. What is there stays as it is."""
    from jobtrail.cli.datasets.seed import plant, read_file
    from jobtrail.cli.interruptible import run_interruptible
    from jobtrail.models.datasets.seed import read_seed

    run_interruptible(plant(read_seed(read_file(file)), as_json=as_json))

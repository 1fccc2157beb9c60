"""`jobtrail datasets`: lists, changes and timelines of datasets, and adding some."""

from jobtrail.cli.command_group import examples
from jobtrail.cli.command_table import LazyCommand, command_group

datasets = command_group(
    "Look at datasets: pending, stuck or disputed ones, status changes, and the timeline of each.",
    LazyCommand(
        "pending",
        "jobtrail.cli.datasets.lists:pending",
        "List datasets that are Pending or Analyzing.",
        "jobtrail datasets pending",
        "jobtrail datasets pending --limit 1000 --json",
    ),
    LazyCommand(
        "stuck",
        "jobtrail.cli.datasets.lists:stuck",
        "List open datasets without an update for long.",
        "jobtrail datasets stuck",
        "jobtrail datasets stuck --older-than 1d --json",
    ),
    LazyCommand(
        "changes",
        "jobtrail.cli.datasets.lists:changes",
        "List changes of status.",
        "jobtrail datasets changes",
        "jobtrail datasets changes --since 1w --json",
    ),
    LazyCommand(
        "failures",
        "jobtrail.cli.datasets.lists:failures",
        "List changes of status that failed or were refused.",
        "jobtrail datasets failures",
        "jobtrail datasets failures --since 1w --json",
    ),
    LazyCommand(
        "errors",
        "jobtrail.cli.datasets.lists:errors",
        "List datasets with an error message.",
        "jobtrail datasets errors",
        "jobtrail datasets errors --since 1w --json",
    ),
    LazyCommand(
        "diff",
        "jobtrail.cli.datasets.lists:diff",
        "List datasets whose sources disagree.",
        "jobtrail datasets diff",
        "jobtrail datasets diff --json",
    ),
    LazyCommand(
        "show",
        "jobtrail.cli.datasets.show:show",
        "Show one dataset's timeline.",
        "jobtrail datasets show 5cb2d2d3a4be0f9fd3400001",
        "jobtrail datasets show 5cb2d2d3a4be0f9fd3400001 --json",
    ),
    LazyCommand(
        "add",
        "jobtrail.cli.datasets.seed:add",
        "Add one dataset.",
        "jobtrail datasets add 5cb2d2d3a4be0f9fd3400001 --group Fashion",
        "jobtrail datasets add demo-1 --group Demo --schedule manual --user alice=alice@example.org --viewpoint front",
    ),
    LazyCommand(
        "seed",
        "jobtrail.cli.datasets.seed:seed",
        "Add datasets and groups from a JSON file.",
        "jobtrail datasets seed datasets.json",
        "jobtrail datasets seed - < datasets.json",
    ),
    epilog=examples(
        "jobtrail datasets pending",
        "jobtrail datasets stuck --older-than 2h",
        "jobtrail datasets show 5cb2d2d3a4be0f9fd3400001",
    ),
)

"""The `jobtrail` command: the list of all commands. Each is imported when it runs, so the list itself needs none."""

import sys
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_group

from jobtrail.cli.command_group import CommandGroup, note_verbose
from jobtrail.cli.command_table import LazyCommand

_JOBS = "Jobs and workers"
_DATASETS = "Datasets"
_DEAD_LETTERS = "Dead letters"
_SUBMIT = "Submit and cancel"
_SERVICES = "Services"
_UPKEEP = "Upkeep"

_EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong use or setting, 3 not found, 4 a service can't be reached, 130 Ctrl-C. "
    "Errors are printed on stderr in one line; with --json as one JSON object: "
    '{"error": {"code", "exit_code", "message"}}.'
)

app = typer.Typer(
    name="jobtrail",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    # Its tracebacks show local variables, and those may hold passwords.
    pretty_exceptions_enable=False,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"jobtrail {version('jobtrail')}")
        except PackageNotFoundError:
            typer.echo("jobtrail (from a checkout that is not installed)")
        raise typer.Exit


@app.callback()
def _jobtrail(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
    _verbose: Annotated[
        bool, typer.Option("--verbose", help="Print the causes of an error too.", callback=note_verbose)
    ] = False,
) -> None:
    """Track the jobs of extractors: what each one did, how long it took, and what went wrong.

    Settings are JOBTRAIL_* variables or a .env file. Without any, commands use the services that `jobtrail up` runs.
    """


COMMANDS = (
    LazyCommand(
        "jobs",
        "jobtrail.cli.jobs.jobs:jobs",
        "List jobs, the latest updated first.",
        "jobtrail jobs",
        "jobtrail jobs --status error --since 1d",
        "jobtrail jobs --stalled --json",
        panel=_JOBS,
    ),
    LazyCommand(
        "timeline",
        "jobtrail.cli.jobs.timeline:timeline",
        "Show one job's events, how long each took, and any gaps.",
        "jobtrail timeline e24f993a-db63-48d6-9726-ea607d1e0d7f",
        "jobtrail timeline e24f993a-db63-48d6-9726-ea607d1e0d7f --follow",
        "jobtrail timeline --resource 5cb2d2d3a4be0f9fd3400001 --extractor ncsa.wordcount",
        panel=_JOBS,
    ),
    LazyCommand(
        "extractors",
        "jobtrail.cli.jobs.extractors:extractors",
        "List extractors: versions, live instances, current work.",
        "jobtrail extractors",
        "jobtrail extractors --json",
        panel=_JOBS,
    ),
    LazyCommand(
        "datasets",
        "jobtrail.cli.datasets.group:datasets",
        "Look at datasets: pending, stuck, disputed. Add some.",
        panel=_DATASETS,
    ),
    LazyCommand(
        "outbox",
        "jobtrail.cli.notifications.outbox:outbox",
        "Show and retry the messages to Slack, mail and Pusher.",
        panel=_DATASETS,
    ),
    LazyCommand(
        "deadletters",
        "jobtrail.cli.dead_letters.group:deadletters",
        "Look at, fix, replay and discard dead letters.",
        panel=_DEAD_LETTERS,
    ),
    LazyCommand(
        "submit",
        "jobtrail.cli.jobs.submit:submit",
        "Submit a job to an extractor's queue and print its id.",
        "jobtrail submit ncsa.wordcount 5cb2d2d3a4be0f9fd3400001 --user alice@example.org",
        'jobtrail submit ncsa.wordcount 5cb2d2d3a4be0f9fd3400001 --parameters \'{"language": "en"}\' --json',
        panel=_SUBMIT,
    ),
    LazyCommand(
        "cancel",
        "jobtrail.cli.jobs.cancel:cancel",
        "Cancel a job that no worker has taken yet.",
        "jobtrail cancel e24f993a-db63-48d6-9726-ea607d1e0d7f",
        panel=_SUBMIT,
    ),
    LazyCommand(
        "up",
        "jobtrail.cli.services.up:up",
        "Run everything here, including RabbitMQ and MongoDB.",
        "jobtrail up",
        panel=_SERVICES,
    ),
    LazyCommand(
        "consume",
        "jobtrail.cli.services.consume:consume",
        "Run the consumer: it stores status updates.",
        "JOBTRAIL_LOG_FORMAT=json jobtrail consume",
        panel=_SERVICES,
    ),
    LazyCommand(
        "monitor",
        "jobtrail.cli.services.monitor:monitor",
        "Run the monitor: it stores the workers' heartbeats.",
        "jobtrail monitor",
        panel=_SERVICES,
    ),
    LazyCommand(
        "forward",
        "jobtrail.cli.services.forward:forward",
        "Copy status updates to another queue.",
        "jobtrail forward --to clowder.Xk3pQ90aBc",
        "jobtrail forward --to wordcount.updates --extractor ncsa.wordcount --name wordcount",
        panel=_SERVICES,
    ),
    LazyCommand(
        "web",
        "jobtrail.cli.services.web:web",
        "Serve the pages and the REST API.",
        "jobtrail web",
        panel=_SERVICES,
    ),
    LazyCommand(
        "dataset:get-status",
        "jobtrail.cli.datasets.get_status:dataset_get_status",
        "Check datasets, update their status, notify users.",
        "jobtrail dataset:get-status",
        "jobtrail dataset:get-status ds-42 --json",
        "jobtrail dataset:get-status --watch",
        panel=_SERVICES,
    ),
    LazyCommand(
        "env",
        "jobtrail.cli.env:env",
        "Print the URLs of the running private stack.",
        'eval "$(jobtrail env)"',
        "jobtrail env --json",
        panel=_SERVICES,
    ),
    LazyCommand(
        "doctor",
        "jobtrail.cli.doctor.command:doctor",
        "Check settings and services, and say what to do.",
        "jobtrail doctor",
        "jobtrail doctor --json",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "incidents",
        "jobtrail.cli.upkeep.incidents:incidents",
        "List where a stream lost updates before they were read.",
        "jobtrail incidents",
        "jobtrail incidents --acknowledge 3f2a9c01d47b",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "verify",
        "jobtrail.cli.upkeep.verify:verify",
        "Compare jobs with their events, or account for messages.",
        "jobtrail verify",
        "jobtrail verify --messages --since 1w",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "rebuild",
        "jobtrail.cli.upkeep.rebuild:rebuild",
        "Recompute every job from its events.",
        "jobtrail rebuild",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "import-clowder",
        "jobtrail.cli.upkeep.import_clowder:import_clowder",
        "Import extractions of Clowder 1, jobs of Clowder 2.",
        "jobtrail import-clowder mongodb://clowder.example.org:27017",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "token",
        "jobtrail.cli.access.token:token",
        "Create, list and revoke access tokens for the web.",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "audit",
        "jobtrail.cli.access.audit_log:audit_log",
        "List who changed what, when, and from where.",
        "jobtrail audit",
        "jobtrail audit --act job.cancel --since 1w --json",
        panel=_UPKEEP,
    ),
    LazyCommand(
        "audit-log",
        "jobtrail.cli.access.audit_log:audit_log",
        "The name of `audit` before 0.3.",
        "jobtrail audit",
        hidden=True,
    ),
)


def _root() -> TyperGroup:
    root = get_group(app)
    for command in COMMANDS:
        root.add_command(command)
    return root


def run() -> None:
    """Run the command line and end the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Without this a terminal that can't show "✔" would be an error.
            stream.reconfigure(errors="backslashreplace")
    _root()(prog_name="jobtrail")


if __name__ == "__main__":
    run()

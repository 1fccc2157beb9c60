"""The `jobtrail` command. Only what its help needs is imported here; everything else waits until a command runs."""

import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated

import typer

from jobtrail.cli.access.audit_log import audit_log
from jobtrail.cli.access.token import token
from jobtrail.cli.command_group import CommandGroup, examples, note_verbose
from jobtrail.cli.datasets.get_status import dataset_get_status
from jobtrail.cli.datasets.group import datasets
from jobtrail.cli.dead_letters.group import deadletters
from jobtrail.cli.doctor.command import doctor
from jobtrail.cli.env import env
from jobtrail.cli.jobs.cancel import cancel
from jobtrail.cli.jobs.extractors import extractors
from jobtrail.cli.jobs.jobs import jobs
from jobtrail.cli.jobs.submit import submit
from jobtrail.cli.jobs.timeline import timeline
from jobtrail.cli.notifications.outbox import outbox
from jobtrail.cli.services.consume import consume
from jobtrail.cli.services.forward import forward
from jobtrail.cli.services.monitor import monitor
from jobtrail.cli.services.up import up
from jobtrail.cli.services.web import web
from jobtrail.cli.upkeep.audit import audit
from jobtrail.cli.upkeep.import_clowder import import_clowder
from jobtrail.cli.upkeep.incidents import incidents
from jobtrail.cli.upkeep.rebuild import rebuild
from jobtrail.cli.upkeep.verify import verify

_LOOK = "Look at jobs and workers"
_DATASETS = "Datasets"
_LETTERS = "Dead letters"
_WORK = "Ask for work"
_RUN = "Run JobTrail"
_CARE = "Take care of it"

_EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong use or setting, 3 not found, 4 a service can't be reached, 130 Ctrl-C. "
    "Errors are told on stderr in one line; with --json as one JSON object: "
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
        from importlib.metadata import PackageNotFoundError, version

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
        bool, typer.Option("--verbose", help="Tell the causes of an error too.", callback=note_verbose)
    ] = False,
) -> None:
    """Track the jobs of extractor-style workers: what each one said, how long it took, and what went wrong.

    Settings are JOBTRAIL_* environment variables or a .env file. Where no broker and no database are set, every command
    finds the private ones that `jobtrail up` runs.
    """


def _add(command: Callable[..., None], name: str, panel: str, *lines: str) -> None:
    app.command(name, rich_help_panel=panel, epilog=examples(*lines))(command)


_add(jobs, "jobs", _LOOK, "jobtrail jobs", "jobtrail jobs --status error --since 1d", "jobtrail jobs --stalled --json")
_add(
    timeline,
    "timeline",
    _LOOK,
    "jobtrail timeline e24f993a-db63-48d6-9726-ea607d1e0d7f",
    "jobtrail timeline e24f993a-db63-48d6-9726-ea607d1e0d7f --follow",
    "jobtrail timeline --resource 5cb2d2d3a4be0f9fd3400001 --extractor ncsa.wordcount",
)
_add(extractors, "extractors", _LOOK, "jobtrail extractors", "jobtrail extractors --json")
app.add_typer(datasets, name="datasets", rich_help_panel=_DATASETS)
app.add_typer(outbox, name="outbox", rich_help_panel=_DATASETS)
app.add_typer(deadletters, name="deadletters", rich_help_panel=_LETTERS)
_add(audit, "audit", _LETTERS, "jobtrail audit", "jobtrail audit --since 1w --json")
_add(
    submit,
    "submit",
    _WORK,
    "jobtrail submit ncsa.wordcount 5cb2d2d3a4be0f9fd3400001 --user alice@example.org",
    'jobtrail submit ncsa.wordcount 5cb2d2d3a4be0f9fd3400001 --parameters \'{"language": "en"}\' --json',
)
_add(cancel, "cancel", _WORK, "jobtrail cancel e24f993a-db63-48d6-9726-ea607d1e0d7f")
_add(up, "up", _RUN, "jobtrail up")
_add(consume, "consume", _RUN, "JOBTRAIL_LOG_FORMAT=json jobtrail consume")
_add(monitor, "monitor", _RUN, "jobtrail monitor")
_add(
    forward,
    "forward",
    _RUN,
    "jobtrail forward --to clowder.Xk3pQ90aBc",
    "jobtrail forward --to wordcount.updates --extractor ncsa.wordcount --name wordcount",
)
_add(web, "web", _RUN, "jobtrail web")
_add(
    dataset_get_status,
    "dataset:get-status",
    _RUN,
    "jobtrail dataset:get-status",
    "jobtrail dataset:get-status ds-42 --json",
    "jobtrail dataset:get-status --watch",
)
_add(env, "env", _RUN, 'eval "$(jobtrail env)"', "jobtrail env --json")
_add(doctor, "doctor", _CARE, "jobtrail doctor", "jobtrail doctor --json")
_add(incidents, "incidents", _CARE, "jobtrail incidents", "jobtrail incidents --acknowledge 3f2a9c01d47b")
_add(verify, "verify", _CARE, "jobtrail verify")
_add(rebuild, "rebuild", _CARE, "jobtrail rebuild")
_add(import_clowder, "import-clowder", _CARE, "jobtrail import-clowder mongodb://clowder.example.org:27017")
app.add_typer(token, name="token", rich_help_panel=_CARE)
_add(audit_log, "audit-log", _CARE, "jobtrail audit-log", "jobtrail audit-log --act job.cancel --since 1w --json")


def run() -> None:
    """Run the command line and end the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that knows no "✔" is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="jobtrail")


if __name__ == "__main__":
    run()

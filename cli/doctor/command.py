"""`jobtrail doctor`: checks everything that the settings name."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import typer
from rich.table import Table
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import find_settings, open_database
from jobtrail.cli.doctor.broker import check_broker
from jobtrail.cli.doctor.channels import check_channels
from jobtrail.cli.doctor.checks import Check, CheckOutcome, exit_code_of, failed
from jobtrail.cli.doctor.datasets import check_analyzer, check_datasets
from jobtrail.cli.doctor.dead_letters import check_captured_queues, check_dead_letters
from jobtrail.cli.doctor.forward import check_forward
from jobtrail.cli.doctor.incidents import check_incidents
from jobtrail.cli.doctor.services import check_database, check_pages, check_sources
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings

_LOOKS = {CheckOutcome.OK: ("✔", GOOD), CheckOutcome.WARNING: ("!", WARNING), CheckOutcome.FAILED: ("✖", BAD)}


def doctor(as_json: JsonOption = False) -> None:
    """Check settings, broker, queues, database and services, and say what to do. Nothing is changed.

    Exit code 0 when no check failed; else 2 when a setting is wrong, 4 when a service can't be reached, 1 otherwise.
    """
    checks = run_interruptible(_run_checks())
    if as_json:
        _print_json(checks)
    else:
        _print(checks)
    if code := exit_code_of(checks):
        raise typer.Exit(code)


async def _run_checks() -> list[Check]:
    """Run the checks in the order in which they depend on each other; what can't be checked is left out."""
    try:
        settings, source = find_settings()
    except SettingError as error:
        return [failed("settings", str(error), "correct it in the environment or in .env", ExitCode.WRONG_USE)]
    checks = check_sources(settings, source)
    if settings.amqp_url is not None:
        try:
            checks += await check_broker(settings)
            checks += await check_captured_queues(settings)
        except SettingError as error:
            checks.append(failed("broker", str(error), "correct JOBTRAIL_AMQP_URL", ExitCode.WRONG_USE))
    if settings.mongo_url is not None:
        checks += await check_database(settings)
        checks += await _check_stored(settings)
    checks += await check_analyzer(settings)
    checks += await check_channels(settings)
    return [*checks, *await check_pages(settings)]


async def _check_stored(settings: Settings) -> list[Check]:
    """Check what the database holds; nothing once that can't be reached, which its own check says."""
    checks: list[Check] = []
    with suppress(SettingError, StoreError):
        async with open_database(settings) as database:
            with suppress(StoreError):
                checks.append(await check_incidents(database))
            if settings.amqp_url is not None:
                with suppress(StoreError):
                    checks += await check_forward(settings, database)
            with suppress(StoreError):
                checks.append(await check_dead_letters(database))
            with suppress(StoreError):
                checks += await check_datasets(settings, database)
    return checks


def _print_json(checks: Sequence[Check]) -> None:
    report = {
        "ok": exit_code_of(checks) is ExitCode.DONE,
        "checks": [
            {"name": check.name, "outcome": check.outcome.value, "found": check.found, "advice": check.advice or None}
            for check in checks
        ],
    }
    write_json(report)


def _print(checks: Sequence[Check]) -> None:
    console = make_console()
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        sign, style = _LOOKS[check.outcome]
        found = Text(check.found)
        if check.advice:
            found.append(f"\n→ {check.advice}", style=style)
        table.add_row(Text(sign, style=style), Text(check.name, style="bold"), found)
    console.print(table)
    count = Counter(check.outcome for check in checks)
    warnings = "1 warning" if count[CheckOutcome.WARNING] == 1 else f"{count[CheckOutcome.WARNING]} warnings"
    summary = f"\n{count[CheckOutcome.OK]} ok, {warnings}, {count[CheckOutcome.FAILED]} failed"
    console.print(Text(summary, style=QUIET))

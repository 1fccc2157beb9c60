"""Runs all checks and prints them."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from cli.checkup import Check, Outcome, exit_code_of, failed
from cli.checkup_broker import check_broker
from cli.checkup_channels import check_channels
from cli.checkup_datasets import check_analyzer, check_datasets
from cli.checkup_forward import check_forward
from cli.checkup_incidents import check_incidents
from cli.checkup_letters import check_captured_queues, check_letters
from cli.checkup_services import check_database, check_pages, check_sources
from cli.console import make_console, write_json
from cli.context import find_settings
from cli.exit_codes import ExitCode
from cli.palette import BAD, GOOD, QUIET, WARNING
from models.errors import SettingError

_LOOKS = {Outcome.OK: ("✔", GOOD), Outcome.WARNING: ("!", WARNING), Outcome.FAILED: ("✖", BAD)}


async def show_doctor(*, as_json: bool) -> ExitCode:
    """Check everything that the settings name, and print it.

    Args:
        as_json: Whether to print JSON.

    Returns:
        What the process ends with.
    """
    checks = await run_checks()
    code = exit_code_of(checks)
    if as_json:
        _print_json(checks)
    else:
        _print(checks)
    return code


async def run_checks() -> list[Check]:
    """Check everything that the settings name; what can't be checked because something else failed is left out.

    Returns:
        The checks, in the order in which they depend on each other.
    """
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
        checks += await check_incidents(settings)
        if settings.amqp_url is not None:
            checks += await check_forward(settings)
        checks += await check_letters(settings)
        checks += await check_datasets(settings)
    checks += await check_analyzer(settings)
    checks += await check_channels(settings)
    return [*checks, *await check_pages(settings)]


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
    count = {outcome: sum(check.outcome is outcome for check in checks) for outcome in Outcome}
    summary = f"\n{count[Outcome.OK]} ok, {count[Outcome.WARNING]} to know of, {count[Outcome.FAILED]} failed"
    console.print(Text(summary, style=QUIET))

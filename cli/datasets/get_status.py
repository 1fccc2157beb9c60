"""`jobtrail dataset:get-status`: how far are the datasets? Progress while it runs, then what it did."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings
from jobtrail.cli.exit_codes import ExitCode
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING, word_text
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.cli.services.logs import set_up_logs
from jobtrail.cli.services.service import run_service
from jobtrail.models.notifications.alert import MEANINGS, AlertKind
from jobtrail.models.notifications.outbox import RunSummary, Timings
from jobtrail.models.settings import Settings
from jobtrail.models.times import duration, rfc3339
from jobtrail.reconciler.decision import DecisionOutcome
from jobtrail.reconciler.service import reconciler_parts, run_reconciler

_SEND_WITHIN_S = 30.0
"""How long the command waits until its messages are sent; what is left is sent by the next one, or by the service."""
_FINE = (DecisionOutcome.CHANGED, DecisionOutcome.UNCHANGED, DecisionOutcome.OVERTAKEN)


def dataset_get_status(
    dataset_id: Annotated[
        str | None,
        typer.Argument(help="Only this dataset. Without it, all that are Pending or Analyzing.", show_default=False),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on as a service: every five minutes (JOBTRAIL_DATASET_CRON), and when jobs change."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check how far datasets are, change their histories, and notify those concerned.

    Asks the analyzer's API (JOBTRAIL_ANALYZER_URL) and the jobs on each dataset (JOBTRAIL_DATASET_SOURCE). What follows
    from an end is stored with it: batch jobs, notifications, and messages to the channels that are on.

    Exit code 0 also when single datasets could not be checked (the summary counts them); 1 when the run was halted, or
    the one dataset that was named could not be checked.
    """
    settings = current_settings()
    if watch:
        if dataset_id is not None or as_json:
            raise typer.BadParameter("--watch goes with neither a dataset nor --json: it runs until it is stopped")
        run_service("reconciler", settings, lambda stop, on_ready: run_reconciler(settings, stop, on_ready=on_ready))
        return

    code = run_interruptible(_check(settings, dataset_id, as_json=as_json))
    if code:
        raise typer.Exit(code)


async def _check(settings: Settings, dataset_id: str | None, *, as_json: bool) -> ExitCode:
    """Check once, send what is due, and print the summary."""
    # On a terminal the summary says what went well.
    quiet = sys.stderr.isatty() and settings.log_level == "info"
    set_up_logs(settings.model_copy(update={"log_level": "warning"}) if quiet else settings)
    async with reconciler_parts(settings, CollectorRegistry()) as parts, parts.runner() as runner:
        await runner.prepare()
        try:
            with ProgressTeller("Checking datasets") as teller:
                summary = await runner.run(dataset_id, teller.note)
        finally:
            await asyncio.shield(parts.dispatcher.drain(_SEND_WITHIN_S))
    if as_json:
        sys.stdout.write(f"{json.dumps(_summary_json(summary), ensure_ascii=False)}\n")
    else:
        _print_summary(summary, dataset_id)
    is_fine = not any(count for outcome, count in summary.outcomes.items() if outcome not in _FINE)
    return ExitCode.FAILED if summary.halted or (dataset_id is not None and not is_fine) else ExitCode.DONE


def _summary_json(summary: RunSummary) -> dict[str, object]:
    return {**asdict(summary), "started_at": rfc3339(summary.started_at)}


def _print_summary(summary: RunSummary, dataset_id: str | None) -> None:
    console = make_console()
    if summary.halted:
        console.print(Text.assemble(("✖ ", BAD), f"The run was halted: {summary.halted}."), soft_wrap=True)
    elif summary.checked == 0:
        which = f"dataset {dataset_id} has reached its end" if dataset_id else "no dataset is Pending or Analyzing"
        console.print(Text.assemble(("✔ ", GOOD), f"Nothing to monitor: {which}."), soft_wrap=True)
        return
    checked = "1 dataset" if summary.checked == 1 else f"{summary.checked:,} datasets"
    if not summary.halted:
        console.print(Text.assemble(("✔ ", GOOD), f"{checked} checked in {duration(summary.duration_s)}."))
    for name, count in sorted(summary.statuses.items()):
        console.print(Text.assemble("  ", word_text(name), f"  {count:,}"))
    _print_counts(console, "changed", summary.changes, "")
    settled = (DecisionOutcome.CHANGED, DecisionOutcome.UNCHANGED)
    unsettled = {name.replace("_", " "): count for name, count in summary.outcomes.items() if name not in settled}
    _print_counts(console, "without a result", unsettled, WARNING)
    errors = {MEANINGS[AlertKind(kind)].title: count for kind, count in summary.errors.items()}
    _print_counts(console, "errors", errors, BAD)
    for kind in _advised(summary):
        console.print(Text(f"    → {MEANINGS[kind].steps[0]}", style=QUIET), soft_wrap=True)
    for name, each, what in (("API", summary.api, "answer"), ("database", summary.database, "write")):
        if each.count:
            console.print(Text(f"  {name}: {_timings(each, what)}", style=QUIET))


def _advised(summary: RunSummary) -> list[AlertKind]:
    """Return what to give advice on: the errors, and what was an error of an earlier run and is so still."""
    kinds = [AlertKind(kind) for kind in summary.errors]
    if summary.outcomes.get(DecisionOutcome.INVALID) and AlertKind.INVALID_TRANSITION not in kinds:
        kinds.append(AlertKind.INVALID_TRANSITION)
    return kinds


def _print_counts(console: Console, title: str, counts: Mapping[str, int], style: str) -> None:
    if any(counts.values()):
        words = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()) if count)
        console.print(Text(f"  {title}: {words}", style=style), soft_wrap=True)


def _timings(each: Timings, what: str) -> str:
    words = what if each.count == 1 else f"{what}s"
    return f"{each.count:,} {words}, mean {each.mean_s * 1000:,.1f} ms, p95 {each.p95_s * 1000:,.1f} ms"

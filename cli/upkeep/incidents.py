"""`jobtrail incidents`: streams that were not as their reader had left them."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET
from jobtrail.cli.output.status_list import print_next
from jobtrail.models.incident import Incident
from jobtrail.models.times import clock, relative
from jobtrail.operations.incident_acts import acknowledge_incident
from jobtrail.operations.schemas.incidents import IncidentListSchema, IncidentSchema
from jobtrail.store.keyset import Page
from jobtrail.store.log.incidents import IncidentRepository


def incidents(
    *,
    acknowledge: Annotated[
        str | None,
        typer.Option(help="Acknowledge this one.", metavar="ID", show_default=False),
    ] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only those not acknowledged yet.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Incidents per page.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Continue where the last page ended: its `next`.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List where a stream was deleted, truncated, or lost updates before they were read; the latest first."""
    if acknowledge is not None:
        _print_acknowledged(run_interruptible(_acknowledge(acknowledge)), as_json=as_json)
        return
    page = run_interruptible(_read(open_only=open_only, limit=limit, cursor=cursor))
    if as_json:
        write_json(IncidentListSchema.model_validate(page).json_object())
    else:
        _print(page)


async def _read(*, open_only: bool, limit: int, cursor: str | None) -> Page[Incident]:
    async with open_database(current_settings()) as database:
        return await IncidentRepository(database).list(limit=limit, cursor=cursor, open_only=open_only)


async def _acknowledge(incident_id: str) -> Incident:
    async with open_database(current_settings()) as database:
        return await acknowledge_incident(
            IncidentRepository(database), audit_book(database), this_account(), incident_id
        )


def _print_acknowledged(incident: Incident, *, as_json: bool) -> None:
    if as_json:
        write_json(IncidentSchema.model_validate(incident).json_object())
    else:
        make_console().print(f"{incident.id} is acknowledged by {incident.acknowledged_by}.", soft_wrap=True)


def _print(page: Page[Incident]) -> None:
    console = make_console()
    if not page.rows:
        console.print("No incidents.")
        return
    now = datetime.now(UTC)
    for incident in page.rows:
        for line in _lines(incident, now):
            console.print(line, soft_wrap=True)
    print_next(console, page.next)
    if any(incident.acknowledged_at is None for incident in page.rows):
        console.print(Text("\nAcknowledge one:  jobtrail incidents --acknowledge ID", style=QUIET))


def _lines(incident: Incident, now: datetime) -> tuple[Text, Text, Text]:
    missing = "unknown how many missing" if incident.missing is None else f"{incident.missing:,} missing"
    sign, style = ("✖", BAD) if incident.acknowledged_at is None else ("✔", GOOD)
    heading = Text.assemble(
        (f"{sign} {incident.id}", style), "  ", (one_line(incident.stream), "bold"), f"  {incident.kind}, {missing}"
    )
    found_by = f"  {clock(incident.at)}, {relative(incident.at, now)}, by the {one_line(incident.reader)}"
    known = "" if incident.acknowledged_at is None else f"; acknowledged by {incident.acknowledged_by}"
    return heading, Text(f"  {one_line(incident.detail)}"), Text(found_by + one_line(known), style=QUIET)

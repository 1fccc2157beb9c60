"""Reads incidents and prints them."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from jobtrail.cli.access.audit_log_note import note, whoever
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET
from jobtrail.cli.output.status_list import print_next
from jobtrail.models.incident import Incident
from jobtrail.models.times import clock, relative
from jobtrail.operations.schemas.incidents import IncidentListSchema, IncidentSchema
from jobtrail.store.keyset import Page
from jobtrail.store.log.incidents import IncidentRepository


async def read(*, open_only: bool, limit: int, cursor: str | None) -> Page[Incident]:
    """Read one page of incidents; see `IncidentRepository.list`."""
    async with open_database(current_settings()) as database:
        return await IncidentRepository(database).list(limit=limit, cursor=cursor, open_only=open_only)


async def acknowledge(incident_id: str) -> Incident:
    """Note that whoever runs this knows of an incident.

    Args:
        incident_id: Its id.

    Returns:
        The incident.

    Raises:
        NotFoundError: There is no such incident.
    """
    async with open_database(current_settings()) as database:
        incident = await IncidentRepository(database).acknowledge(incident_id, whoever())
        await note(database, "incident.acknowledge", target=incident.id, details={"stream": incident.stream})
    return incident


def print_json(found: Page[Incident]) -> None:
    """Print incidents as one JSON object.

    Args:
        found: The page.
    """
    write_json(IncidentListSchema.of(found).json_object())


def print_acknowledged(incident: Incident, *, as_json: bool) -> None:
    """Print what became of an acknowledgement.

    Args:
        incident: The incident.
        as_json: Whether to print JSON.
    """
    if as_json:
        write_json(IncidentSchema.of(incident).json_object())
    else:
        make_console().print(f"{incident.id} is acknowledged by {incident.acknowledged_by}.", soft_wrap=True)


def print_incidents(found: Page[Incident]) -> None:
    """Print incidents, each in a few lines.

    Args:
        found: The page.
    """
    console = make_console()
    if not found.rows:
        console.print("No incidents.")
        return
    now = datetime.now(UTC)
    _print_rows(console, found.rows, now)
    print_next(console, found.next)
    if any(incident.acknowledged_at is None for incident in found.rows):
        console.print(Text("\nYou know of one:  jobtrail incidents --acknowledge ID", style=QUIET))


def _print_rows(console: Console, incidents: Sequence[Incident], now: datetime) -> None:
    for incident in incidents:
        missing = "missing: not known" if incident.missing is None else f"{incident.missing:,} missing"
        sign, style = ("✖", BAD) if incident.acknowledged_at is None else ("✔", GOOD)
        heading = Text.assemble(
            (f"{sign} {incident.id}", style), "  ", (one_line(incident.stream), "bold"), f"  {incident.kind}, {missing}"
        )
        console.print(heading, soft_wrap=True)
        console.print(Text(f"  {one_line(incident.detail)}"), soft_wrap=True)
        found_by = f"  {clock(incident.at)}, {relative(incident.at, now)}, by the {one_line(incident.reader)}"
        known = "" if incident.acknowledged_at is None else f"; acknowledged by {incident.acknowledged_by}"
        console.print(Text(found_by + one_line(known), style=QUIET), soft_wrap=True)

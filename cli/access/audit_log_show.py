"""Reads audit records and prints them."""

from datetime import UTC, datetime

from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import word_text
from jobtrail.cli.output.status_list import Columns, Line, print_page
from jobtrail.models.audit import AuditRecord
from jobtrail.models.times import relative
from jobtrail.operations.schemas.audit import AuditListSchema
from jobtrail.store.access.audit import AuditFilter, AuditRepository
from jobtrail.store.keyset import Page

_COLUMNS = Columns(state="OUTCOME", name="ACT", details=["TARGET", "WHO", "FROM"], ends=["WHEN"], remark="DETAILS")


async def read(wanted: AuditFilter, *, limit: int, cursor: str | None) -> Page[AuditRecord]:
    """Read one page of records; see `AuditRepository.list`."""
    async with open_database(current_settings()) as database:
        return await AuditRepository(database).list(wanted, limit=limit, cursor=cursor)


def print_json(found: Page[AuditRecord]) -> None:
    """Print records as one JSON object."""
    told = AuditListSchema.model_validate(found)
    write_json(told.json_object())


def print_records(found: Page[AuditRecord]) -> None:
    """Print records as a table."""
    now = datetime.now(UTC)
    print_page(
        _COLUMNS,
        [_line(record, now) for record in found.rows],
        found.next,
        empty="There is no such record.",
        way_out="All of them:  jobtrail audit",
    )


def _line(record: AuditRecord, now: datetime) -> Line:
    whose = f"{record.who} for {record.user_id}" if record.user_id else record.who
    details = ", ".join(f"{name} {text}" for name, text in record.details.items() if name != "version")
    return Line(
        state=word_text(record.outcome.value),
        name=record.act,
        details=[record.target, whose, record.origin],
        ends=[relative(record.at, now)],
        remark=Text(one_line(details)),
    )

"""`jobtrail audit`: who changed what."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.console import write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import word_text
from jobtrail.cli.output.status_list import Columns, Line, print_page
from jobtrail.models.audit import AuditFilter, AuditRecord
from jobtrail.models.times import relative
from jobtrail.operations.schemas.audit import AuditListSchema
from jobtrail.store.access.audit import AuditRepository
from jobtrail.store.keyset import Page

_COLUMNS = Columns(state="OUTCOME", name="ACT", details=["TARGET", "WHO", "FROM"], ends=["WHEN"], remark="DETAILS")


@with_options
def audit_log(
    *,
    wanted: AuditFilter,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Records per page.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(help="Continue where the last page ended: its `next`.", show_default=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List who changed what, when, and from where, the latest first: on the web and by these commands."""
    now = datetime.now(UTC)
    page = run_interruptible(_read(wanted, limit=limit, cursor=cursor))
    if as_json:
        write_json(AuditListSchema.model_validate(page).json_object())
        return
    print_page(
        _COLUMNS,
        [_line(record, now) for record in page.rows],
        page.next,
        empty="No such record.",
        way_out="All of them:  jobtrail audit",
    )


async def _read(wanted: AuditFilter, *, limit: int, cursor: str | None) -> Page[AuditRecord]:
    async with open_database(current_settings()) as database:
        return await AuditRepository(database).list(wanted, limit=limit, cursor=cursor)


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

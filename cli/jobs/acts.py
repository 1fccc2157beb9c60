"""What `submit` and `cancel` act with. Both work without the database too, and warn that nothing is on record then."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobtrail.cli.actor import audit_book, warn
from jobtrail.cli.context import open_database
from jobtrail.models.audit import AuditRecord
from jobtrail.models.errors import SettingError
from jobtrail.models.settings import Settings
from jobtrail.operations.audit import AuditBook
from jobtrail.operations.job_acts import JobActs


@asynccontextmanager
async def open_job_acts(settings: Settings, *, needs_database: bool = False) -> AsyncIterator[JobActs]:
    """Open what acts on jobs; `SettingError` where the settings name no database and one is needed."""
    try:
        database = open_database(settings)
    except SettingError as error:
        if needs_database:
            raise
        yield JobActs(settings=settings, database=None, audit=AuditBook(_NoRecords(error), warn))
        return
    async with database:
        yield JobActs(settings=settings, database=database, audit=audit_book(database))


class _NoRecords:
    def __init__(self, why: SettingError) -> None:
        self._why = why

    async def insert(self, _record: AuditRecord, /) -> None:
        raise self._why

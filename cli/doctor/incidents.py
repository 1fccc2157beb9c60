"""Checks for incidents of a stream that are not acknowledged."""

from jobtrail.cli.context import open_database
from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.store.log.incidents import IncidentRepository


async def check_incidents(settings: Settings) -> list[Check]:
    """Check the incidents; no check where the database can't be reached."""
    try:
        async with open_database(settings) as database:
            count = await IncidentRepository(database).unacknowledged()
    except (SettingError, StoreError):
        return []
    if count:
        advice = "see them: jobtrail incidents; then: jobtrail incidents --acknowledge ID"
        return [warning("incidents", f"not acknowledged: {count:,}", advice)]
    return [ok("incidents", "all acknowledged")]

"""Checks whether a stream was not what its reader had left, and nobody has acknowledged that."""

from jobtrail.cli.context import open_database
from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.models.errors import SettingError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.store.log.incidents import IncidentRepository


async def check_incidents(settings: Settings) -> list[Check]:
    """Check the incidents.

    Args:
        settings: The settings; the database's URL must be known.

    Returns:
        The check; none where the database can't be reached, which its own check tells.
    """
    try:
        async with open_database(settings) as database:
            count = await IncidentRepository(database).unacknowledged()
    except (SettingError, StoreError):
        return []
    if count:
        advice = "see them: jobtrail incidents; then note it: jobtrail incidents --acknowledge ID"
        return [warning("incidents", f"not acknowledged: {count:,}", advice)]
    return [ok("incidents", "none that is not acknowledged")]

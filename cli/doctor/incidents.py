"""Checks for incidents of a stream that are not acknowledged."""

from jobtrail.cli.doctor.checks import Check, ok, warning
from jobtrail.store.database import Database
from jobtrail.store.log.incidents import IncidentRepository


async def check_incidents(database: Database) -> Check:
    """Check for incidents that are not acknowledged."""
    count = await IncidentRepository(database).unacknowledged()
    if count:
        advice = "see them: jobtrail incidents; then: jobtrail incidents --acknowledge ID"
        return warning("incidents", f"not acknowledged: {count:,}", advice)
    return ok("incidents", "all acknowledged")

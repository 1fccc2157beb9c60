"""Incidents for tests."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.incident import CONSUMER, Incident, IncidentKind, incident_alert, incident_detail
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.models.notifications.slack_entries import slack_entries
from jobtrail.store.database import Database
from jobtrail.store.log.incidents import IncidentRepository

NOW = datetime.now(UTC).replace(microsecond=0)


def overtaken(*, ago_s: float = 0, stream: str = "jobtrail.updates", reader: str = CONSUMER) -> Incident:
    """Retention removed 1,204 updates before they were read."""
    kind, missing, from_offset, to_offset = IncidentKind.OVERTAKEN, 1204, 5001, 6204
    return Incident(
        kind=kind,
        stream=stream,
        reader=reader,
        missing=missing,
        from_offset=from_offset,
        to_offset=to_offset,
        epoch=2,
        seq=5001,
        detail=incident_detail(kind, stream, reader, missing=missing, from_offset=from_offset, to_offset=to_offset),
        at=NOW - timedelta(seconds=ago_s),
    )


async def record(database: Database, *incidents: Incident, slack_channel: str | None = None) -> None:
    """Keep incidents as the log does: each with its alert, in a transaction."""
    repository = IncidentRepository(database)
    for incident in incidents:
        outbox = slack_entries([incident_alert(incident)], slack_channel)
        await database.transact(partial(_add, repository, incident, outbox))


async def _add(
    repository: IncidentRepository, incident: Incident, outbox: Sequence[OutboxEntry], session: AsyncClientSession
) -> None:
    await repository.add(incident, session, outbox)

"""Acknowledges incidents, with an audit record."""

from jobtrail.models.incident import Incident
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.store.log.incidents import IncidentRepository


async def acknowledge_incident(
    incidents: IncidentRepository, audit: AuditBook, actor: Actor, incident_id: str
) -> Incident:
    """Note that somebody knows of an incident; whoever did so first stays. Raises `NotFoundError`."""
    async with audit.act(actor, "incident.acknowledge", target=incident_id) as entry:
        incident = await incidents.acknowledge(incident_id, actor.name)
        entry.details["stream"] = incident.stream
    return incident

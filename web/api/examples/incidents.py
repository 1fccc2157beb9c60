"""Examples of answers about incidents, for OpenAPI."""

from dataclasses import replace

from jobtrail.models.incident import CONSUMER, Incident, IncidentKind, incident_detail
from jobtrail.operations.schemas.incidents import IncidentListSchema, IncidentSchema
from jobtrail.store.keyset import Page
from jobtrail.web.api.examples.jobs import after

_STREAM = "jobtrail.updates"
_INCIDENT = Incident(
    id="3f2a9c01d47b",
    at=after(0),
    kind=IncidentKind.OVERTAKEN,
    stream=_STREAM,
    reader=CONSUMER,
    missing=1204,
    from_offset=5001,
    to_offset=6204,
    epoch=2,
    seq=5001,
    detail=incident_detail(IncidentKind.OVERTAKEN, _STREAM, CONSUMER, missing=1204, from_offset=5001, to_offset=6204),
)

INCIDENT_LIST = IncidentListSchema.model_validate(Page(rows=[_INCIDENT], next=None))
ACKNOWLEDGED = IncidentSchema.model_validate(replace(_INCIDENT, acknowledged_at=after(60), acknowledged_by="local"))

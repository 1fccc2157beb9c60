"""Incidents: a stream was not what its reader had left."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from jobtrail.operations.incident_acts import acknowledge_incident
from jobtrail.operations.schemas.incidents import IncidentListSchema, IncidentSchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import incidents as examples
from jobtrail.web.api.parameters import AskedPage
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.paths import PathId


class AskedIncidents(AskedPage):
    """Which incidents."""

    open: bool = Field(default=False, description="Only those that nobody has acknowledged.")


router = APIRouter(prefix="/incidents", tags=["incidents"])


@router.get("", summary="List incidents", **documented(examples.INCIDENT_LIST, 400))
async def incidents(parts: AppParts, request: Request, asked: Annotated[AskedIncidents, Query()]) -> Response:
    """Where a stream was deleted, cut short, or lost updates before they were read: the latest first."""
    page = await parts.incidents.list(limit=asked.limit, cursor=asked.cursor, open_only=asked.open)
    return answer(IncidentListSchema.model_validate(page), next_link(request, page.next))


@router.post(
    "/{incident_id}/acknowledge", summary="Acknowledge an incident", **documented(examples.ACKNOWLEDGED, 400, 404)
)
async def acknowledge(parts: AppParts, incident_id: PathId, identity: Operator) -> Response:
    """Notes that somebody knows of it; who did so first stays."""
    incident = await acknowledge_incident(parts.incidents, parts.audit, identity, incident_id)
    return answer(IncidentSchema.model_validate(incident))

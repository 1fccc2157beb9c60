"""The page of incidents: where a stream was not as its reader had left it, and acknowledging it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from jobtrail.operations.incident_acts import acknowledge_incident
from jobtrail.web.dependencies import AppParts, Caller, Operator
from jobtrail.web.paths import PathId
from jobtrail.web.render import query

ROWS_PER_PAGE = 25
_HERE = "/incidents"


class IncidentQuery(BaseModel):
    """What stands in the address."""

    cursor: str = ""


router = APIRouter(include_in_schema=False)


@router.get(_HERE)
async def incidents(
    parts: AppParts,
    request: Request,
    identity: Caller,
    typed: Annotated[IncidentQuery, Query()],
) -> Response:
    page = await parts.incidents.list(limit=ROWS_PER_PAGE, cursor=typed.cursor or None)
    return await parts.renderer.page(
        request,
        identity,
        "incidents.html",
        incidents=page.rows,
        first=_HERE if typed.cursor else None,
        older=f"{_HERE}{query(cursor=page.next)}" if page.next else None,
    )


@router.post(f"{_HERE}/{{incident_id}}/acknowledge")
async def acknowledge(parts: AppParts, incident_id: PathId, identity: Operator) -> RedirectResponse:
    await acknowledge_incident(parts.incidents, parts.audit, identity, incident_id)
    return RedirectResponse(_HERE, HTTPStatus.SEE_OTHER)

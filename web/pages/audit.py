"""The page of audit records: who changed what, when, and from where."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from jobtrail.store.access.audit import AuditFilter
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.render import query

ROWS_PER_PAGE = 50


class AuditQuery(BaseModel):
    """What stands in the address."""

    act: str = ""
    cursor: str = ""


router = APIRouter(include_in_schema=False)


@router.get("/audit")
async def audit(
    parts: AppParts,
    request: Request,
    identity: Operator,
    typed: Annotated[AuditQuery, Query()],
) -> Response:
    wanted = AuditFilter(act=typed.act.strip() or None)
    page = await parts.audit_records.list(wanted, limit=ROWS_PER_PAGE, cursor=typed.cursor or None)
    return await parts.renderer.page(
        request,
        identity,
        "audit.html",
        act=wanted.act,
        records=page.rows,
        first=f"/audit{query(act=wanted.act)}" if typed.cursor else None,
        older=f"/audit{query(act=wanted.act, cursor=page.next)}" if page.next else None,
    )

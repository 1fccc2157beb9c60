"""The page of audit records: who changed what, when, and from where."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from jobtrail.models.audit import AuditFilter
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.filter_form import read_form

ROWS_PER_PAGE = 50

router = APIRouter(include_in_schema=False)


@router.get("/audit")
async def audit(parts: AppParts, request: Request, identity: Operator) -> Response:
    form = read_form(AuditFilter, "/audit", request.query_params)
    cursor = request.query_params.get("cursor") or None
    if "" in request.query_params.values():
        return RedirectResponse(form.address(cursor=cursor), HTTPStatus.SEE_OTHER)
    wanted = form.wanted
    page = await parts.audit_records.list(wanted, limit=ROWS_PER_PAGE, cursor=cursor) if wanted else None
    return await parts.renderer.page(
        request,
        identity,
        "audit.html",
        status=HTTPStatus.OK if page else HTTPStatus.BAD_REQUEST,
        form=form,
        records=page.rows if page else [],
        first=form.address() if cursor else None,
        older=form.address(cursor=page.next) if page and page.next else None,
    )

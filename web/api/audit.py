"""Audit records: who changed what."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from jobtrail.models.audit import AuditFilter
from jobtrail.operations.schemas.audit import AuditListSchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import AskedPage
from jobtrail.web.dependencies import AppParts, get_operator


class AskedRecords(AuditFilter, AskedPage):
    """Which records."""


router = APIRouter(tags=["audit"], dependencies=[Depends(get_operator)])


@router.get("/audit", summary="List audit records", **documented(examples.AUDIT_LIST, 400))
async def records(parts: AppParts, request: Request, asked: Annotated[AskedRecords, Query()]) -> Response:
    """Who changed what, when, and from where: the latest first. For operators only."""
    page = await parts.audit_records.list(asked, limit=asked.limit, cursor=asked.cursor)
    return answer(AuditListSchema.model_validate(page), next_link(request, page.next))

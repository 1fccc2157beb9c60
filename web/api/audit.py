"""Audit records: who changed what."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from jobtrail.operations.schemas.audit import AuditListSchema
from jobtrail.store.access.audit import AuditFilter
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import AskedPage, Moment, Name
from jobtrail.web.dependencies import AppParts, get_operator


class AskedRecords(AskedPage):
    """Which records."""

    act: Name | None = Field(None, examples=["job.cancel"], description="Only acts of this name.")
    since: Moment | None = Field(None, examples=["1d"], description="Only acts of this time or later.")


router = APIRouter(tags=["audit"], dependencies=[Depends(get_operator)])


@router.get("/audit", summary="List audit records", **documented(examples.AUDIT_LIST, 400))
async def records(parts: AppParts, request: Request, asked: Annotated[AskedRecords, Query()]) -> Response:
    """Who changed what, when, and from where: the latest first. For operators only."""
    wanted = AuditFilter(act=asked.act, since=asked.since)
    page = await parts.audit_records.list(wanted, limit=asked.limit, cursor=asked.cursor)
    return answer(AuditListSchema.model_validate(page), next_link(request, page.next))

"""Dead letters by cause. For operators only."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from jobtrail.operations.schemas.base import Schema
from jobtrail.operations.schemas.dead_letters import GroupListSchema, GroupSchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import dead_letters as examples
from jobtrail.web.api.parameters import AskedPage
from jobtrail.web.dependencies import AppParts, Operator, get_operator
from jobtrail.web.paths import PathId


class AskedGroups(AskedPage):
    """Which groups."""

    all: bool = Field(default=False, description="Include groups without open dead letters.")


class NoteSchema(Schema):
    """How a group was fixed."""

    note: Annotated[str, Field(max_length=2000)] | None = Field(
        description="What fixed it; null removes the note.", examples=["Deployed 2.1, which sends the time again."]
    )


router = APIRouter(prefix="/dead-letters/groups", tags=["dead letters"], dependencies=[Depends(get_operator)])


@router.get("", summary="List groups of dead letters", **documented(examples.GROUP_LIST, 400))
async def groups(parts: AppParts, request: Request, asked: Annotated[AskedGroups, Query()]) -> Response:
    """Those with the newest dead letters first. `hours` counts the captured ones of the last 48 hours."""
    page = await parts.causes.list(unsettled_only=not asked.all, limit=asked.limit, cursor=asked.cursor)
    return answer(GroupListSchema.model_validate(page), next_link(request, page.next))


@router.get("/{group_id}", summary="Show a group of dead letters", **documented(examples.GROUP, 400, 404))
async def group(parts: AppParts, group_id: PathId) -> Response:
    """They have reason, normalized error, extractor, queue and version in common."""
    return answer(GroupSchema.model_validate(await parts.causes.get(group_id)))


@router.put(
    "/{group_id}/note",
    summary="Note how a group was fixed",
    **documented(examples.GROUP, 400, 404, 413, 415),
)
async def note(parts: AppParts, group_id: PathId, asked: NoteSchema, identity: Operator) -> Response:
    """For whoever meets the same problem again."""
    await parts.dead_letter_acts.note(identity, group_id, asked.note or "")
    return answer(GroupSchema.model_validate(await parts.causes.get(group_id)))

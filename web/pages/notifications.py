"""The page behind the bell: a user's notifications, what became of the messages about it, and marking it as read."""

import asyncio
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from jobtrail.models.datasets.dataset import Notification
from jobtrail.models.notifications.outbox import OutboxEntry
from jobtrail.models.token import Role
from jobtrail.operations import notification_acts
from jobtrail.store.keyset import Page
from jobtrail.web.auth.identity import Identity
from jobtrail.web.dependencies import AppParts, Caller, Operator
from jobtrail.web.parts import Parts
from jobtrail.web.paths import local_path
from jobtrail.web.render import query

ROWS_PER_PAGE = 25


class NotificationQuery(BaseModel):
    """What stands in the address: text, as it was typed."""

    user: str = ""
    unread: str = ""
    cursor: str = ""

    def address(self, **changed: object) -> str:
        """Make the address of a list.

        Returns such as `/notifications?user=alice`.
        """
        return f"/notifications{query(**self.model_dump(exclude={'cursor'}) | changed)}"


router = APIRouter(include_in_schema=False)


@router.get("/notifications")
async def notifications(
    parts: AppParts,
    request: Request,
    identity: Caller,
    typed: Annotated[NotificationQuery, Query()],
) -> Response:
    user_id = _whose(identity, typed.user.strip())
    page = await _read(parts, identity, user_id, typed)
    return await parts.renderer.page(
        request,
        identity,
        "notifications.html",
        user_id=user_id,
        typed=typed,
        here=typed.address(cursor=typed.cursor),
        page=page,
        deliveries=await _deliveries(parts, page.rows),
        first=typed.address() if typed.cursor else None,
        older=typed.address(cursor=page.next) if page.next else None,
    )


@router.post("/notifications/read")
async def mark_read(
    parts: AppParts,
    identity: Operator,
    key: Annotated[str, Form(alias="id")] = "",
    user: Annotated[str, Form()] = "",
    after: Annotated[str, Form(alias="next")] = "/notifications",
) -> RedirectResponse:
    if key:
        await notification_acts.mark_read(parts.notifications, parts.audit, identity, key)
    elif user:
        await notification_acts.mark_all_read(parts.notifications, parts.audit, identity, user)
    return RedirectResponse(local_path(after), HTTPStatus.SEE_OTHER)


def _whose(identity: Identity, wanted: str) -> str | None:
    """Choose whose notifications are shown; None for all users', which only an operator sees."""
    if wanted and wanted != identity.user_id and identity.role is not Role.OPERATOR:
        raise HTTPException(HTTPStatus.FORBIDDEN, "Only operators see the notifications of others.")
    return wanted or identity.user_id


async def _read(parts: Parts, identity: Identity, user_id: str | None, typed: NotificationQuery) -> Page[Notification]:
    if user_id is None and identity.role is not Role.OPERATOR:
        return Page(rows=[], next=None)
    return await parts.notifications.list(
        user_id, unread_only=bool(typed.unread), limit=ROWS_PER_PAGE, cursor=typed.cursor or None
    )


async def _deliveries(parts: Parts, rows: Sequence[Notification]) -> Mapping[str, Sequence[OutboxEntry]]:
    """Read what else went out with notifications, to the same user about the same dataset."""
    datasets = list(dict.fromkeys(row.dataset_id for row in rows))
    found = await asyncio.gather(*(parts.outbox.of_dataset(dataset_id) for dataset_id in datasets))
    entries = dict(zip(datasets, found, strict=True))
    return {row.id: [entry for entry in entries[row.dataset_id] if entry.user_id == row.user_id] for row in rows}

"""Notifications: what users find in the application, and that they have read it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.exceptions import HTTPException

from jobtrail.models.filters import Name
from jobtrail.models.token import Role
from jobtrail.operations.notification_acts import mark_all_read, mark_read
from jobtrail.operations.schemas.notifications import MarkedReadSchema, NotificationListSchema, NotificationSchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked, AskedPage
from jobtrail.web.auth.identity import Identity
from jobtrail.web.dependencies import AppParts, Caller, Operator
from jobtrail.web.paths import PathId


class AskedNotifications(AskedPage):
    """Whose notifications, and which."""

    user: Name | None = Field(
        None,
        examples=["alice"],
        description="Whose; else those of the token's user, and everybody's for an operator's token without a user. "
        "A viewer sees only their own.",
    )
    unread: bool = Field(default=False, description="Only those that were not read.")


class AskedUser(Asked):
    """Whose notifications."""

    user: Name | None = Field(None, examples=["alice"], description="Whose; else those of the token's user.")


router = APIRouter(tags=["notifications"])


@router.get("/notifications", summary="List notifications", **documented(examples.NOTIFICATION_LIST, 400))
async def notifications(
    parts: AppParts,
    request: Request,
    asked: Annotated[AskedNotifications, Query()],
    identity: Caller,
) -> Response:
    """The latest first."""
    user_id = _visible_to(identity, asked.user)
    page = await parts.notifications.list(user_id, unread_only=asked.unread, limit=asked.limit, cursor=asked.cursor)
    unread = None if user_id is None else await parts.notifications.unread_count(user_id)
    return answer(
        NotificationListSchema(notifications=page.rows, next=page.next, unread=unread), next_link(request, page.next)
    )


@router.post(
    "/notifications/read-all", summary="Mark all notifications as read", **documented(examples.MARKED_READ, 400)
)
async def read_all(parts: AppParts, asked: Annotated[AskedUser, Query()], identity: Operator) -> Response:
    """All of one user's."""
    user_id = asked.user or identity.user_id
    if user_id is None:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "Whose? Your token has no user, so `user` must name one.")
    marked = await mark_all_read(parts.notifications, parts.audit, identity, user_id)
    return answer(MarkedReadSchema(marked=marked))


@router.post(
    "/notifications/{notification_id}/read",
    summary="Mark a notification as read",
    **documented(examples.NOTIFICATION, 400, 404),
)
async def read(parts: AppParts, notification_id: PathId, identity: Operator) -> Response:
    """One that was read before keeps its time."""
    notification = await mark_read(parts.notifications, parts.audit, identity, notification_id)
    return answer(NotificationSchema.model_validate(notification))


def _visible_to(identity: Identity, user_id: str | None) -> str | None:
    """Choose whose notifications are shown; None for all users'."""
    if identity.role is Role.OPERATOR:
        return user_id or identity.user_id
    if identity.user_id is None:
        raise HTTPException(HTTPStatus.FORBIDDEN, "Your token has no user, so there are no notifications for it.")
    if user_id not in (None, identity.user_id):
        raise HTTPException(HTTPStatus.FORBIDDEN, "A viewer's token shows only its own user's notifications.")
    return identity.user_id

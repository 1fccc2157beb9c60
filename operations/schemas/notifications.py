"""What users find in the application."""

from typing import Self

from jobtrail.models.datasets.dataset import Level, Notification
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.keyset import Page


class NotificationSchema(Schema):
    """One notification; `read_at` is null until its user has read it."""

    id: str
    user_id: str
    dataset_id: str
    level: Level
    title: str
    message: str
    created_at: Timestamp
    read_at: Timestamp | None

    @classmethod
    def of(cls, notification: Notification) -> Self:
        """Make it of a notification."""
        return cls(
            id=notification.id,
            user_id=notification.user_id,
            dataset_id=notification.dataset_id,
            level=notification.level,
            title=notification.title,
            message=notification.message,
            created_at=notification.created_at,
            read_at=notification.read_at,
        )


class NotificationListSchema(Schema):
    """One page of notifications, the latest first.

    `unread` is what their user has not read, counted up to 100; null where they are everybody's.
    """

    notifications: list[NotificationSchema]
    next: str | None
    unread: int | None

    @classmethod
    def of(cls, page: Page[Notification], unread: int | None) -> Self:
        """Make it of a page."""
        return cls(
            notifications=[NotificationSchema.of(notification) for notification in page.rows],
            next=page.next,
            unread=unread,
        )


class MarkedReadSchema(Schema):
    """How many notifications were unread until now."""

    marked: int

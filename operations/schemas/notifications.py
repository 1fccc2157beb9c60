"""What users find in the application."""

from jobtrail.models.datasets.dataset import Level
from jobtrail.operations.schemas.base import Schema, Timestamp


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


class NotificationListSchema(Schema):
    """One page of notifications, the latest first.

    `unread` is what their user has not read, counted up to 100; null where they are everybody's.
    """

    notifications: list[NotificationSchema]
    next: str | None
    unread: int | None


class MarkedReadSchema(Schema):
    """How many notifications were unread until now."""

    marked: int

"""Acts on messages to the outside and on notifications, each with its audit record: try again, mark as read."""

from collections.abc import Sequence
from datetime import UTC, datetime

from jobtrail.models.datasets.dataset import Notification
from jobtrail.models.errors import NotFoundError
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.store.notifications.notifications import NotificationRepository
from jobtrail.store.notifications.outbox import OutboxRepository


async def retry_messages(
    outbox: OutboxRepository, audit: AuditBook, actor: Actor, keys: Sequence[str] | None = None
) -> int:
    """Let messages be tried again, all that were given up or those of some keys; returns how many entries those are.

    Raises `NotFoundError` where none of the keys belongs to a message that waits or was given up.
    """
    async with audit.act(actor, "outbox.retry", target=" ".join(keys or ())) as entry:
        count = await outbox.retry(keys)
        if keys and not count:
            raise NotFoundError("none of these keys belongs to a message that waits or was given up")
        entry.details["count"] = str(count)
    return count


async def mark_read(
    notifications: NotificationRepository, audit: AuditBook, actor: Actor, notification_id: str
) -> Notification:
    """Mark one notification as read; one that was read before keeps its time. Raises `NotFoundError`."""
    async with audit.act(actor, "notification.read", target=notification_id):
        return await notifications.mark_read(notification_id, datetime.now(UTC))


async def mark_all_read(notifications: NotificationRepository, audit: AuditBook, actor: Actor, user_id: str) -> int:
    """Mark all notifications of a user as read; returns how many were unread."""
    async with audit.act(actor, "notifications.read", target=user_id) as entry:
        marked = await notifications.mark_all_read(user_id, datetime.now(UTC))
        entry.details["marked"] = str(marked)
    return marked

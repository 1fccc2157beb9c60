"""What users find in the application: read by page, counted while unread, marked as read."""

from datetime import datetime

from pymongo import ReturnDocument

from jobtrail.models.datasets.dataset import Notification
from jobtrail.models.errors import NotFoundError
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.documents import NOTIFICATION_TYPE, notification_from
from jobtrail.store.keyset import Page, SortOrder, read_page

MAX_UNREAD = 100
"""How far unread notifications are counted."""
_LATEST_FIRST = SortOrder(field="created_at", direction=-1)


class NotificationRepository:
    """The notifications that JobTrail wrote; what the application keeps there beside them is left alone."""

    def __init__(self, console: Console) -> None:
        self._notifications = console.notifications

    async def list(
        self, user_id: str | None, *, unread_only: bool = False, limit: int, cursor: str | None = None
    ) -> Page[Notification]:
        """Read one page of notifications, the latest first.

        `user_id`: whose; None for all users'.
        """
        query = _query(user_id, unread_only=unread_only)
        page = await read_page(self._notifications, query, _LATEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=[notification_from(document) for document in page.rows], next=page.next)

    async def unread_count(self, user_id: str) -> int:
        """Count what a user has not read, up to `MAX_UNREAD`."""
        with translated():
            return await self._notifications.count_documents(_query(user_id, unread_only=True), limit=MAX_UNREAD)

    async def mark_read(self, notification_id: str, now: datetime) -> Notification:
        """Note that a notification was read; one that was read before keeps its time.

        Raises `NotFoundError`: there is none with this id.
        """
        read = [{"$set": {"read_at": {"$ifNull": ["$read_at", now]}}}]
        with translated():
            document = await self._notifications.find_one_and_update(
                {"_id": notification_id, "type": NOTIFICATION_TYPE}, read, return_document=ReturnDocument.AFTER
            )
        if document is None:
            raise NotFoundError(f"there is no notification {notification_id!r}")
        return notification_from(document)

    async def mark_all_read(self, user_id: str, now: datetime) -> int:
        """Note that a user has read everything.

        Returns how many were unread until then.
        """
        unread = _query(user_id, unread_only=True)
        with translated():
            return (await self._notifications.update_many(unread, {"$set": {"read_at": now}})).modified_count


def _query(user_id: str | None, *, unread_only: bool) -> Document:
    query: Document = {"type": NOTIFICATION_TYPE}
    if user_id is not None:
        query["user_id"] = user_id
    if unread_only:
        query["read_at"] = None
    return query

"""The messages to other services."""

from typing import Self

from jobtrail.models.notifications.outbox import OutboxOverview, OutboxState
from jobtrail.models.settings import ChannelName
from jobtrail.operations.schemas.base import Schema, Timestamp


class OutboxEntrySchema(Schema):
    """One message to one recipient."""

    key: str
    channel: ChannelName
    recipient: str
    state: OutboxState
    attempts: int
    error: str | None
    dataset_id: str | None
    user_id: str | None
    cause: str
    created_at: Timestamp
    not_before: Timestamp
    sent_at: Timestamp | None
    batch: str | None


class BacklogSchema(Schema):
    """How many messages of a channel are in a state."""

    channel: ChannelName
    state: OutboxState
    count: int


class OutboxSchema(Schema):
    """What is not sent, the newest first, what was sent lately, and how many wait or were given up."""

    unsent: list[OutboxEntrySchema]
    sent: list[OutboxEntrySchema]
    backlog: list[BacklogSchema]

    @classmethod
    def of(cls, overview: OutboxOverview) -> Self:
        """Make it of an overview."""
        counts = [
            BacklogSchema(channel=channel, state=state, count=count)
            for (channel, state), count in sorted(overview.backlog.items())
        ]
        return cls.model_validate({"unsent": overview.unsent, "sent": overview.sent, "backlog": counts})


class RetriedSchema(Schema):
    """How many messages will be tried again."""

    retried: int

"""The messages to Slack, mail and Pusher."""

from collections.abc import Iterable, Mapping
from typing import Self

from jobtrail.models.notifications.outbox import OutboxEntry, OutboxState
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
    def of(
        cls,
        unsent: Iterable[OutboxEntry],
        sent: Iterable[OutboxEntry],
        backlog: Mapping[tuple[ChannelName, OutboxState], int],
    ) -> Self:
        """Make it of entries and counts."""
        return cls(
            unsent=list(unsent),
            sent=list(sent),
            backlog=[
                BacklogSchema(channel=channel, state=state, count=count)
                for (channel, state), count in sorted(backlog.items())
            ],
        )


class RetriedSchema(Schema):
    """How many messages will be tried again."""

    retried: int

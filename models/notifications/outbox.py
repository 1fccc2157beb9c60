"""The outbox: messages to the outside that are planned in the same transaction as their cause, and sent after it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.notifications.alert import Alert
from jobtrail.models.settings import ChannelName

GROUPING_S = 2.0
"""Seconds that a message waits for others of its cause, to become one with them, where its channel groups messages."""


class OutboxState(StrEnum):
    """What became of an entry."""

    WAITING = "waiting"
    """To be sent, or to be tried again."""
    SENDING = "sending"
    """Claimed by a dispatcher; it is claimed anew when its lease runs out."""
    SENT = "sent"
    FAILED = "failed"
    """Given up."""


UNSENT_STATES = (OutboxState.WAITING, OutboxState.SENDING, OutboxState.FAILED)


@dataclass(slots=True, frozen=True, kw_only=True)
class DatasetNews:
    """A dataset reached its end."""

    dataset_id: str
    status: DatasetStatus
    wishlist: str
    created_at: datetime
    """When the dataset was requested."""
    ended_at: datetime
    error_message: str | None = None
    batch_jobs: Mapping[str, str] | None = None
    """Job ids by viewpoint."""

    @property
    def event(self) -> str:
        """The name of the event, `dataset.completed` or `dataset.failed`."""
        return "dataset.completed" if self.status is DatasetStatus.COMPLETE else "dataset.failed"


@dataclass(slots=True, frozen=True, kw_only=True)
class Timings:
    """How long calls of one kind took, in seconds."""

    count: int = 0
    mean_s: float = 0.0
    p95_s: float = 0.0
    most_s: float = 0.0


@dataclass(slots=True, frozen=True, kw_only=True)
class RunSummary:
    """What one run of `dataset:get-status` did."""

    run_id: str
    started_at: datetime
    duration_s: float
    checked: int
    """Datasets that were looked at."""
    statuses: Mapping[str, int]
    """Datasets by the status that they have after the run."""
    outcomes: Mapping[str, int]
    """Datasets by what became of their check: changed, unchanged, failed, overtaken, not_asked, …"""
    changes: Mapping[str, int]
    """Changes by `Pending → Analyzing` and so on."""
    errors: Mapping[str, int]
    """Datasets by kind of error."""
    api: Timings
    database: Timings
    halted: str | None = None
    """Why the run ended early."""


Body = DatasetNews | Alert | RunSummary
"""What an entry tells."""


@dataclass(slots=True, frozen=True, kw_only=True)
class OutboxEntry:
    """One message to one recipient on one channel."""

    key: str
    """Unique per dataset, transition, channel and recipient (or per alert or summary); goes out with the message."""
    channel: ChannelName
    recipient: str
    """A Slack channel, a mail address, or a Pusher channel."""
    body: Body
    cause: str
    """Entries of one channel and recipient with the same cause may become one message."""
    created_at: datetime
    not_before: datetime
    """It is not sent before this time."""
    dataset_id: str | None = None
    user_id: str | None = None
    state: OutboxState = OutboxState.WAITING
    attempts: int = 0
    error: str | None = None
    """Why the last attempt failed."""
    sent_at: datetime | None = None
    batch: str | None = None
    """The idempotency key that the message carried: that of the entry it was sent for first."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Envelope:
    """What goes out as one message: one entry, or several with one cause."""

    key: str
    """The idempotency key: the same whenever this message is sent again."""
    holder: str
    """Who claimed it; it is theirs until the lease runs out."""
    entries: Sequence[OutboxEntry]

    @property
    def recipient(self) -> str:
        """To whom it goes."""
        return self.entries[0].recipient

    @property
    def attempts(self) -> int:
        """How often it has been tried, this time included."""
        return max(entry.attempts for entry in self.entries)

    @property
    def dataset_ids(self) -> list[str]:
        """The datasets that it is about."""
        return [entry.dataset_id for entry in self.entries if entry.dataset_id is not None]


@dataclass(slots=True, frozen=True, kw_only=True)
class OutboxOverview:
    """What an operator looks at in the outbox."""

    unsent: Sequence[OutboxEntry]
    """The newest first."""
    sent: Sequence[OutboxEntry]
    """The newest first."""
    backlog: Mapping[tuple[ChannelName, OutboxState], int]
    """How many are not sent, by channel and state; all of them are counted."""

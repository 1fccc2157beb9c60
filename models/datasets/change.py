"""What is to be written about a dataset: a change of its status with all that follows from it, or just news."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.models.datasets.dataset import Answer, BatchJob, CreationLog, DatasetStatus, History, Notification, Ruling
from jobtrail.models.notifications.outbox import OutboxEntry


@dataclass(slots=True, frozen=True, kw_only=True)
class Change:
    """One dataset's step to another status: whole or not at all."""

    history: History
    """As it was read; the change is made only if its status is still that."""
    to_status: DatasetStatus
    ruling: Ruling
    answers: Sequence[Answer]
    """What the sources said this time."""
    log: CreationLog
    progress: float | None = None
    error_message: str | None = None
    batch_jobs: Sequence[BatchJob] = ()
    notifications: Sequence[Notification] = ()
    outbox: Sequence[OutboxEntry] = ()
    clears_manual_request: bool = False
    cancels_schedules: bool = False
    """Whether the crawler's one-off schedules of the group are over."""

    @property
    def name(self) -> str:
        """The change in words, such as `Pending → Analyzing`."""
        return f"{self.history.status} → {self.to_status}"


@dataclass(slots=True, frozen=True, kw_only=True)
class News:
    """What the sources said of a dataset whose status stays as it is."""

    history: History
    answers: Sequence[Answer]
    progress: float | None = None
    """The progress to show, where it is known."""

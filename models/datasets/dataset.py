"""Datasets: their histories, the wishlist groups they belong to, and the state machine of their status.

Source of names and words: the requirement of `dataset:get-status` (the console's tables `wishlist_dataset_histories`,
`wishlist_to_groups`, `wishlist_dataset_creation_logs`, `notifications`, the analyzer's `batch_jobs_vps`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jobtrail.models.errors import SettingError
from jobtrail.models.jobs.status import Status

_DATASET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


class DatasetStatus(StrEnum):
    """How far the generation of a dataset has come. The words are the console's."""

    PENDING = "Pending"
    """Requested; no work has begun."""
    ANALYZING = "Analyzing"
    """In work."""
    COMPLETE = "Complete"
    """Ended well."""
    FAILED = "Failed"
    """Ended badly, for good."""

    @property
    def is_end(self) -> bool:
        """Whether nothing leaves this status."""
        return self in (DatasetStatus.COMPLETE, DatasetStatus.FAILED)


OPEN_STATUSES = (DatasetStatus.PENDING, DatasetStatus.ANALYZING)
"""The statuses that are monitored."""


class StatusSource(StrEnum):
    """Who says how far a dataset is."""

    API = "api"
    """The analyzer's HTTP API."""
    EVENTS = "events"
    """The jobs on the dataset, as their workers' updates tell them."""


class Transition(StrEnum):
    """What a reported status means for the stored one."""

    CHANGE = "change"
    """A step forward: Pending to Analyzing, or to an end."""
    SAME = "same"
    INVALID = "invalid"
    """Out of an end, or back."""


def transition(stored: DatasetStatus, reported: DatasetStatus) -> Transition:
    """Judge whether a dataset may go from one status to another.

    Args:
        stored: The status it has.
        reported: The status that a source reports.

    Returns:
        The judgement.
    """
    if stored is reported:
        return Transition.SAME
    if stored.is_end or reported is DatasetStatus.PENDING:
        return Transition.INVALID
    return Transition.CHANGE


def valid_dataset_id(text: str) -> str:
    """Check a dataset's id.

    Args:
        text: The id as it was given.

    Returns:
        The same id.

    Raises:
        SettingError: It is none: 1 to 128 letters, digits and `._:-`, of which the first is a letter or a digit.
    """
    if _DATASET_ID.fullmatch(text) is None:
        raise SettingError(
            f"{text[:80]!r} is not a dataset id: 1 to 128 letters, digits and . _ : -, the first a letter or digit"
        )
    return text


def without_id(text: str, dataset_id: str) -> str:
    """Take a dataset's id out of a text, so that the same words about several datasets are the same.

    Args:
        text: Any text.
        dataset_id: The id.

    Returns:
        The text with `…` where the id stood as a word of its own.
    """
    return re.sub(rf"(?<![\w.:-]){re.escape(dataset_id)}(?![\w-])", "…", text)


@dataclass(slots=True, frozen=True, kw_only=True)
class Answer:
    """What one source says of one dataset: a status, or why it could not say one."""

    source: StatusSource
    at: datetime
    """When it was asked last, UTC."""
    status: DatasetStatus | None = None
    progress: float | None = None
    """Percent done, 0 to 100."""
    error_message: str | None = None
    """Why the dataset failed, in the source's words, without secrets."""
    problem: str | None = None
    """Which error took the place of an answer: the value of a `models.notifications.alert.AlertKind`."""
    detail: str | None = None
    """That error in words."""
    since: datetime | None = None
    """Since when it has said this status or had this problem; None before it was stored."""

    def says_same(self, other: "Answer | None") -> bool:
        """Whether another answer tells no other status, progress, message or problem."""
        return other is not None and (self.status, self.progress, self.error_message, self.problem) == (
            other.status,
            other.progress,
            other.error_message,
            other.problem,
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class Ruling:
    """Who decided the stored status, and why."""

    source: StatusSource
    reason: str
    at: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class User:
    """Somebody who is to hear of a dataset."""

    id: str
    email: str | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Group:
    """A wishlist group: what the datasets made from it have in common."""

    key: object
    """The document's `_id`, of whatever type the console gives it."""
    name: str
    training_schedule: str | None = None
    """`manual` for a training that was asked for by hand; else the console's word for the schedule."""
    manual_request: bool = False
    """Whether somebody asked by hand and still waits for the dataset."""
    users: Sequence[User] = ()
    viewpoints: Sequence[str] = ()
    """Viewpoints for which a complete dataset needs a batch job each."""
    required_extractors: Sequence[str] = ()
    """Extractors whose jobs make a dataset complete; empty means those that were seen at work on it."""

    @property
    def is_manual(self) -> bool:
        """Whether its training is started by hand."""
        return (self.training_schedule or "").lower() == "manual"


@dataclass(slots=True, frozen=True, kw_only=True)
class History:
    """One dataset's record in the console."""

    key: object
    """The document's `_id`, of whatever type the console gives it."""
    dataset_id: str
    group_key: object
    status: DatasetStatus
    created_at: datetime
    updated_at: datetime
    """When status, progress or error message changed last."""
    error_message: str | None = None
    progress: float | None = None
    answers: Mapping[StatusSource, Answer] = field(default_factory=dict)
    """What each source said last."""
    ruling: Ruling | None = None


class LogType(StrEnum):
    """What an entry of the creation log is about."""

    STATUS_UPDATE = "Status Update"
    FAILURE = "Failure"
    """A change of status that was refused or could not be made."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CreationLog:
    """One entry of a dataset's creation log."""

    history_key: object
    group_key: object
    dataset_id: str
    type: LogType
    from_status: DatasetStatus
    to_status: DatasetStatus | None
    source: StatusSource
    message: str
    run_id: str
    created_at: datetime


class BatchJobStatus(StrEnum):
    """How far a batch job is."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETE = "Complete"
    FAILED = "Failed"
    SKIPPED = "Skipped"
    CANCELLED = "Cancelled"


BATCH_JOB_STATUS = {
    Status.SUBMITTED: BatchJobStatus.PENDING,
    Status.STARTED: BatchJobStatus.RUNNING,
    Status.PROCESSING: BatchJobStatus.RUNNING,
    Status.RESUBMITTED: BatchJobStatus.PENDING,
    Status.SUCCEEDED: BatchJobStatus.COMPLETE,
    Status.ERROR: BatchJobStatus.FAILED,
    Status.SKIPPED: BatchJobStatus.SKIPPED,
    Status.CANCELLED: BatchJobStatus.CANCELLED,
}
"""The status of a batch job, by that of the job that its `job_id` names."""


@dataclass(slots=True, frozen=True, kw_only=True)
class BatchJob:
    """The analysis of one complete dataset for one viewpoint."""

    dataset_id: str
    history_key: object
    group_key: object
    viewpoint: str
    job_id: str
    """The job id that its worker puts into its status updates."""
    status: BatchJobStatus
    created_at: datetime
    updated_at: datetime
    message: str | None = None
    progress: float | None = None


class Level(StrEnum):
    """What kind of news a notification is."""

    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(slots=True, frozen=True, kw_only=True)
class Notification:
    """A notification that a user finds in the application."""

    id: str
    """The same for the same news to the same user."""
    user_id: str
    dataset_id: str
    history_key: object
    level: Level
    title: str
    message: str
    created_at: datetime
    read_at: datetime | None = None

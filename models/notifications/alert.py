"""What can go wrong with datasets, streams and the count of messages: each kind with its severity, words and advice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How urgent it is."""

    INFO = "info"
    WARNING = "warning"
    """One dataset, or something that may pass."""
    ERROR = "error"
    """Something does not work and will not by itself."""
    CRITICAL = "critical"
    """Nothing works until an admin acts."""


class AlertKind(StrEnum):
    """What went wrong. The value is also part of the log record's `action`."""

    INVALID_DATASET_ID = "invalid_dataset_id"
    DATABASE_ERROR = "database_error"
    API_AUTHENTICATION = "api_authentication"
    API_NOT_FOUND = "api_not_found"
    API_RATE_LIMITED = "api_rate_limited"
    API_SERVICE_ERROR = "api_service_error"
    API_TIMEOUT = "api_timeout"
    API_INVALID_ANSWER = "api_invalid_answer"
    API_UNKNOWN_STATUS = "api_unknown_status"
    INVALID_TRANSITION = "invalid_transition"
    BROKEN_RECORD = "broken_record"
    UPDATE_FAILED = "update_failed"
    LOG_FAILED = "log_failed"
    BATCH_JOB_FAILED = "batch_job_failed"
    NOTIFICATION_FAILED = "notification_failed"
    OUTBOX_FAILED = "outbox_failed"
    CLEAN_UP_FAILED = "clean_up_failed"
    PUSHER_FAILED = "pusher_failed"
    EMAIL_FAILED = "email_failed"
    SLACK_FAILED = "slack_failed"
    CHANNEL_FAILED = "channel_failed"
    CRITICAL = "critical"
    MESSAGES_MISSING = "messages_missing"
    STREAM_INCIDENT = "stream_incident"

    @property
    def action(self) -> str:
        """The `action` of its log records."""
        subjects = {AlertKind.MESSAGES_MISSING: "audit", AlertKind.STREAM_INCIDENT: "log"}
        return f"{subjects.get(self, 'dataset')}.{self.value}"

    @property
    def meaning(self) -> "Meaning":
        """Severity, title and steps."""
        return MEANINGS[self]


@dataclass(slots=True, frozen=True, kw_only=True)
class Meaning:
    """What a kind of alert means to whoever reads it."""

    severity: Severity
    title: str
    steps: Sequence[str]
    """What to do, most likely first."""


_AGAIN = "Nothing has changed: the dataset is checked again on the next run."
_ROLLED_BACK = "The whole change was rolled back and is tried again on the next run."

MEANINGS: dict[AlertKind, Meaning] = {
    AlertKind.INVALID_DATASET_ID: Meaning(
        severity=Severity.WARNING,
        title="Invalid dataset id",
        steps=(
            "List the ids that are monitored: jobtrail datasets pending",
            "Correct the id where the command is called.",
        ),
    ),
    AlertKind.DATABASE_ERROR: Meaning(
        severity=Severity.CRITICAL,
        title="Database error",
        steps=("Check that MongoDB answers: jobtrail doctor", "The next run goes on where this one stopped."),
    ),
    AlertKind.API_AUTHENTICATION: Meaning(
        severity=Severity.CRITICAL,
        title="The analyzer API refuses our credentials",
        steps=(
            "Check JOBTRAIL_ANALYZER_TOKEN; renew it if it has expired.",
            "Try it: curl -H 'Authorization: Bearer …' $JOBTRAIL_ANALYZER_URL/datasets/DATASET_ID",
            "The run was stopped: every further call would have failed too.",
        ),
    ),
    AlertKind.API_NOT_FOUND: Meaning(
        severity=Severity.WARNING,
        title="The analyzer API does not know the dataset",
        steps=("Check the dataset id in the console against the analyzer.", _AGAIN),
    ),
    AlertKind.API_RATE_LIMITED: Meaning(
        severity=Severity.WARNING,
        title="The analyzer API limits our rate",
        steps=(
            "Lower JOBTRAIL_ANALYZER_CONCURRENCY, or run less often with JOBTRAIL_DATASET_CRON.",
            "Its Retry-After was obeyed; what was not asked is asked on the next run.",
        ),
    ),
    AlertKind.API_SERVICE_ERROR: Meaning(
        severity=Severity.ERROR,
        title="The analyzer API fails",
        steps=("Look at the analyzer's own logs and health.", _AGAIN),
    ),
    AlertKind.API_TIMEOUT: Meaning(
        severity=Severity.ERROR,
        title="The analyzer API does not answer in time",
        steps=(
            "Check the network and the analyzer's load; raise JOBTRAIL_ANALYZER_TIMEOUT_S if it is just slow.",
            _AGAIN,
        ),
    ),
    AlertKind.API_INVALID_ANSWER: Meaning(
        severity=Severity.ERROR,
        title="The analyzer API's answer is not a dataset",
        steps=("Check that JOBTRAIL_ANALYZER_URL points to the API itself, and the API's version.", _AGAIN),
    ),
    AlertKind.API_UNKNOWN_STATUS: Meaning(
        severity=Severity.ERROR,
        title="The analyzer API reports an unknown status",
        steps=("Compare the words in docs/datasets.md with the API's version.", _AGAIN),
    ),
    AlertKind.INVALID_TRANSITION: Meaning(
        severity=Severity.ERROR,
        title="A status that can't follow the stored one",
        steps=(
            "See who says what: jobtrail datasets diff",
            "See the dataset's story: jobtrail datasets show DATASET_ID",
        ),
    ),
    AlertKind.BROKEN_RECORD: Meaning(
        severity=Severity.ERROR,
        title="A record of wishlist_dataset_histories or wishlist_to_groups is broken",
        steps=("Correct the record in the database; the others are not affected.",),
    ),
    AlertKind.UPDATE_FAILED: Meaning(
        severity=Severity.ERROR,
        title="The dataset's history could not be updated",
        steps=("Check the rules of the collection wishlist_dataset_histories.", _ROLLED_BACK),
    ),
    AlertKind.LOG_FAILED: Meaning(
        severity=Severity.ERROR,
        title="The creation log could not be written",
        steps=("Check the rules of the collection wishlist_dataset_creation_logs.", _ROLLED_BACK),
    ),
    AlertKind.BATCH_JOB_FAILED: Meaning(
        severity=Severity.ERROR,
        title="Batch jobs could not be created",
        steps=("Check the rules of the collection batch_jobs_vps and the group's viewpoints.", _ROLLED_BACK),
    ),
    AlertKind.NOTIFICATION_FAILED: Meaning(
        severity=Severity.ERROR,
        title="Notifications could not be written",
        steps=("Check the rules of the collection notifications and the group's users.", _ROLLED_BACK),
    ),
    AlertKind.OUTBOX_FAILED: Meaning(
        severity=Severity.ERROR,
        title="Messages could not be put into the outbox",
        steps=("Check the rules of the collection outbox.", _ROLLED_BACK),
    ),
    AlertKind.CLEAN_UP_FAILED: Meaning(
        severity=Severity.ERROR,
        title="The group's manual request or its crawler schedule could not be cleared",
        steps=("Check the rules of the collections wishlist_to_groups and crawler_schedules.", _ROLLED_BACK),
    ),
    AlertKind.PUSHER_FAILED: Meaning(
        severity=Severity.WARNING,
        title="Pusher does not take our events",
        steps=(
            "The notifications in the application stand; pages show them when they are loaded.",
            "See jobtrail outbox",
        ),
    ),
    AlertKind.EMAIL_FAILED: Meaning(
        severity=Severity.WARNING,
        title="The mail server does not take our mails",
        steps=("Check JOBTRAIL_SMTP_URL: jobtrail doctor", "What waits is tried again: jobtrail outbox"),
    ),
    AlertKind.SLACK_FAILED: Meaning(
        severity=Severity.WARNING,
        title="Slack does not take our messages",
        steps=("Check JOBTRAIL_SLACK_TOKEN and JOBTRAIL_SLACK_CHANNEL: jobtrail doctor", "See jobtrail outbox"),
    ),
    AlertKind.CHANNEL_FAILED: Meaning(
        severity=Severity.WARNING,
        title="A channel does not take our messages",
        steps=("Check its settings: jobtrail doctor", "What waits is tried again: jobtrail outbox"),
    ),
    AlertKind.CRITICAL: Meaning(
        severity=Severity.CRITICAL,
        title="The run was halted",
        steps=(
            "Read the reconciler's log; report what looks like a defect.",
            "The next run goes on where this one stopped.",
        ),
    ),
    AlertKind.MESSAGES_MISSING: Meaning(
        severity=Severity.CRITICAL,
        title="Messages are missing",
        steps=(
            "See which queue and hour: jobtrail verify --messages",
            "Was a collection edited or restored, or the dead-letter queue emptied by another program?",
        ),
    ),
    AlertKind.STREAM_INCIDENT: Meaning(
        severity=Severity.CRITICAL,
        title="A stream is not what it was",
        steps=(
            "See what happened and whether updates are missing: jobtrail incidents",
            "Note that you know of it: jobtrail incidents --acknowledge ID",
        ),
    ),
}
"""Severity, words and advice by kind."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Alert:
    """Something that went wrong, with everybody whom it concerns."""

    kind: AlertKind
    cause: str
    """What exactly, in words, without secrets; alerts of one kind and cause are one."""
    at: datetime
    run_id: str
    dataset_ids: Sequence[str] = ()
    wishlists: Sequence[str] = ()
    processing_s: float | None = None
    """How long the run had been at work."""

    @property
    def meaning(self) -> Meaning:
        """Severity, title and steps."""
        return self.kind.meaning

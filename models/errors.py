"""The one tree of errors. Driver errors are translated into it where they happen, with their cause chained."""

from jobtrail.models.notifications.alert import AlertKind


class JobTrailError(Exception):
    """Something JobTrail could not do."""


class SettingError(JobTrailError):
    """A setting is missing or wrong; the message names it and says what it should be."""


class UnreachableError(JobTrailError):
    """A service that is needed cannot be reached."""


class BrokerError(UnreachableError):
    """RabbitMQ cannot be reached, or closed the connection."""


class PoisonError(BrokerError):
    """RabbitMQ closed the connection, or the channel, over a message that was sent."""


class StoreError(UnreachableError):
    """MongoDB cannot be reached, or gave up on an operation."""


class FeedLostError(JobTrailError):
    """The changes after some moment are not known any more, or it never was; what is stored must be read anew."""


class OwnershipLostError(JobTrailError):
    """Another consumer has stored the messages of this queue meanwhile; this one must step back and start over."""


class BusyError(JobTrailError):
    """Another process does this already, and only one at a time may."""


class RecordError(JobTrailError):
    """A stored record is not what it should be: another program wrote it, or somebody by hand."""


class ChangeRefusedError(JobTrailError):
    """The database refused a part of a dataset's change for good; nothing of the change is stored.

    Args:
        step: Which part.
        detail: What it said, without secrets.
    """

    def __init__(self, step: AlertKind, detail: str) -> None:
        super().__init__(f"{step}: {detail}")
        self.step = step
        self.detail = detail


class NotFoundError(JobTrailError):
    """What was asked for does not exist."""


class TooBroadError(JobTrailError):
    """A search was given up: it would have to look through too much. The message says how to narrow it."""


class TooLateError(JobTrailError):
    """The act came too late: the job has already been taken by a worker, or has ended."""


class SpoolFullError(JobTrailError):
    """The spool of unsent updates reached its bound."""


class DecodeError(JobTrailError):
    """A message that can't be processed.

    Args:
        reason: One of `models.dead_letters.reasons.DeadLetterReason`.
        detail: What exactly is wrong, in words, without secrets.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class AnalyzerError(JobTrailError):
    """The analyzer's API did not tell a dataset's status.

    Args:
        kind: What went wrong.
        detail: What exactly, in words, without secrets; the same words for the same cause.
    """

    def __init__(self, kind: AlertKind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.response = ""
        """The beginning of what it sent instead, without secrets."""


class RateLimitedError(AnalyzerError):
    """The analyzer's API wants to be asked less often.

    Args:
        detail: What exactly, in words, without secrets.
        retry_after_s: The seconds that it asks us to wait, if it says so.
    """

    def __init__(self, detail: str, retry_after_s: float | None) -> None:
        super().__init__(AlertKind.API_RATE_LIMITED, detail)
        self.retry_after_s = retry_after_s


class NotAskedError(AnalyzerError):
    """The analyzer's API was not asked for this dataset any more: another one's error ended the inquiry."""

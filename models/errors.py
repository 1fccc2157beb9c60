"""The one tree of errors. Driver errors are translated into it where they happen, with their cause chained."""


class JobTrailError(Exception):
    """Something JobTrail could not do."""


class SettingError(JobTrailError):
    """A setting is missing or wrong; the message names it and says what it should be."""


class UnreachableError(JobTrailError):
    """A service that is needed cannot be reached."""


class BrokerError(UnreachableError):
    """RabbitMQ cannot be reached, or closed the connection."""


class StoreError(UnreachableError):
    """MongoDB cannot be reached, or gave up on an operation."""


class OwnershipLostError(JobTrailError):
    """Another consumer has stored the messages of this queue meanwhile; this one must step back and start over."""


class NotFoundError(JobTrailError):
    """What was asked for does not exist."""


class TooLateError(JobTrailError):
    """The act came too late: the job has already been taken by a worker, or has ended."""


class SpoolFullError(JobTrailError):
    """The spool of unsent updates reached its bound."""


class DecodeError(JobTrailError):
    """A message that can't be processed.

    Args:
        reason: One of `models.wire.DeadLetterReason`.
        detail: What exactly is wrong, in words, without secrets.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

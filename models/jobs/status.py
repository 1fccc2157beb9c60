"""What a worker says about a job, in all the words seen in the field, and what it means.

Source of the words: pyClowder 3.0.8 `pyclowder.utils.StatusMessage` (names and values), Clowder 1 and 2, captured
messages.
"""

import re
from enum import StrEnum
from functools import lru_cache


class Status(StrEnum):
    """The state of a job after an update. The words are Clowder 2's."""

    SUBMITTED = "SUBMITTED"
    """Asked for; in a worker's queue."""
    STARTED = "STARTED"
    """A worker took it."""
    PROCESSING = "PROCESSING"
    """A worker is at work and said something."""
    SUCCEEDED = "SUCCEEDED"
    """Ended well."""
    ERROR = "ERROR"
    """Ended badly, for good."""
    SKIPPED = "SKIPPED"
    """The worker decided not to do it."""
    RESUBMITTED = "RESUBMITTED"
    """The attempt failed; the work is back in the queue."""
    CANCELLED = "CANCELLED"
    """Taken back before a worker took it."""

    @property
    def is_waiting(self) -> bool:
        """Whether the job is in a worker's queue in this state."""
        return self in WAITING

    @property
    def is_running(self) -> bool:
        """Whether a worker holds the job in this state."""
        return self in RUNNING

    @property
    def is_end(self) -> bool:
        """Whether the job is finished in this state."""
        return self in ENDS


WAITING = (Status.SUBMITTED, Status.RESUBMITTED)
RUNNING = (Status.STARTED, Status.PROCESSING)
END_WORDS = {
    Status.SUCCEEDED: "succeeded",
    Status.ERROR: "failed",
    Status.SKIPPED: "skipped",
    Status.CANCELLED: "cancelled",
}
"""How a job ended, as people say it."""
ENDS = tuple(END_WORDS)

_WORDS = {
    **{status.value.lower(): status for status in Status},
    "start": Status.STARTED,
    "done": Status.SUCCEEDED,
    "skip": Status.SKIPPED,
    "retry": Status.RESUBMITTED,
    "created": Status.SUBMITTED,
    "canceled": Status.CANCELLED,
}
_PREFIX = re.compile(r"\s*(?:StatusMessage\.)?([A-Za-z]+)\s*(?::\s*|$)(.*)", re.DOTALL)


@lru_cache(maxsize=1024)
def status_of_word(word: str) -> Status | None:
    """Read one status word, such as `StatusMessage.done`, `SUCCEEDED` or `DONE`.

    Args:
        word: The word, in any case, with or without pyClowder's class prefix.

    Returns:
        The status, or None when the word is not one of the known ones.
    """
    return _WORDS.get(word.strip().removeprefix("StatusMessage.").lower())


def parse_status(status: str, message_type: str | None, message: str | None) -> tuple[Status, str]:
    """Tell state and words of one update apart.

    Args:
        status: The wire's `status` text: `<type>: <message>`, a bare type, or free text.
        message_type: The wire's `message_type`, which newer senders add.
        message: The wire's `message`, which newer senders add.

    Returns:
        The status, and the message without its prefix. Free text counts as progress and keeps its words.
    """
    parsed = status_of_word(message_type) if message_type else None
    prefix = _PREFIX.match(status)
    prefixed = status_of_word(prefix[1]) if prefix else None
    if message is None:
        message = prefix[2] if prefix and prefixed else status
    return parsed or prefixed or Status.PROCESSING, message

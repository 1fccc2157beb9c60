"""Messages as a stream or a queue delivered them, on their way into the database."""

from dataclasses import dataclass
from datetime import datetime

from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.jobs.wire import StatusUpdate


@dataclass(slots=True, frozen=True, kw_only=True)
class BridgeMark:
    """What a bridge notes on each message that it copies into the stream."""

    queue: str
    """The queue that it was in."""
    term: int
    """Which of the bridges of that queue copied it, one after another."""
    redelivered: bool
    """Whether the broker had handed it out before: an earlier bridge may have copied it too."""


@dataclass(slots=True, kw_only=True)
class Entry:
    """One message of a stream of updates: an update, or a dead letter."""

    seq: int
    """Its number in the stream's order of arrival."""
    received_at: datetime
    update: StatusUpdate | None
    letter: DeadLetter | None = None
    """Set where the message can't be processed."""
    message_id: str | None = None
    correlation_id: str | None = None
    replay_id: str | None = None
    """The replay that brought it back from the dead letters."""
    letter_id: str | None = None
    """The dead letter that it was."""
    bridge: BridgeMark | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class StoredBatch:
    """What became of a batch."""

    stored: int
    duplicates: int
    """Messages that had been stored before, by their message id."""
    dead_lettered: int = 0
    unused: int = 0
    """Offsets among them that the broker took for itself."""
    maybe_repeated: int = 0
    """Of the stored ones: those that may be a repetition of an earlier one."""

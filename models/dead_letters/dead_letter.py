"""Dead letters: messages that could not be processed, kept until it is known what became of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b


class LetterState(StrEnum):
    """What is to be done about a letter, or what became of it."""

    OPEN = "open"
    """Somebody has to look at it."""
    HELD = "held"
    """A replay is about to send it."""
    REPLAYED = "replayed"
    """Sent again; its outcome is not known yet."""
    RESOLVED = "resolved"
    """Sent again, and processed."""
    FAILED_AGAIN = "failed_again"
    """Sent again, and back as another letter, or its job failed once more."""
    UNKNOWN = "unknown"
    """Sent again, and nothing was heard of it for some time; it may be sent once more."""
    DISCARDED = "discarded"
    """Put into the archive, with a reason; it can be restored."""


UNSETTLED = (LetterState.OPEN, LetterState.UNKNOWN)
"""Letters that may be replayed, edited or discarded."""
CLOSED = (LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.DISCARDED)
"""Letters about which nothing is left to do."""


class LetterKind(StrEnum):
    """What the message is; it decides how it is judged, and by what its replay's outcome is known."""

    UPDATE = "update"
    """A status update of a reply queue."""
    HEARTBEAT = "heartbeat"
    REQUEST = "request"
    """A job request that a worker gave up on."""
    OTHER = "other"
    """Another service's message."""


ID_KEY = "letter/"
"""What the key of a letter that has no other begins with, once it is exported; its id follows."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Cause:
    """Why letters went wrong: those with the same cause are a group."""

    queue: str
    """The queue they were captured from."""
    origin: str
    """The queue they had been in before; empty where that is not known."""
    reason: str
    """A `models.dead_letters.reasons.DeadLetterReason`, RabbitMQ's own reason, or `gave_up`."""
    error: str
    """The error, with ids, numbers and paths folded."""
    extractor_id: str
    """Empty where it is not known."""
    version: str
    """The sender's version; empty where it is not known."""


def cause_id_of(cause: Cause, kind: LetterKind) -> str:
    """Make the id of a group.

    Args:
        cause: Why its letters went wrong.
        kind: What they are.

    Returns:
        The same id for the same cause and kind, in every process.
    """
    parts = (cause.queue, cause.origin, cause.reason, cause.error, cause.extractor_id, cause.version, kind)
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(slots=True, frozen=True, kw_only=True)
class Edit:
    """What is sent instead of a letter's own bytes."""

    body: bytes
    properties: bytes
    """As in `Letter`."""
    by: str
    at: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class Sending:
    """One time that a letter was replayed."""

    replay_id: str
    at: datetime
    target: str
    """The queue it was sent to; empty where no broker takes it as it is."""
    attempts: int = 0
    """Attempts that its job had had by then; of a job request only."""
    outcome: LetterState = LetterState.REPLAYED
    detail: str = ""
    """What is known of the outcome, in words."""
    outcome_at: datetime | None = None
    child: str | None = None
    """The letter as which it came back."""


@dataclass(slots=True, kw_only=True)
class DeadLetter:
    """One dead letter. Made once per message, hence not frozen: freezing triples what making it costs."""

    id: str
    """In the order of capture, but for what several processes capture within a second."""
    cause_id: str
    """Of its group."""
    cause: Cause
    kind: LetterKind
    error: str
    """What exactly was wrong, in words, without secrets."""
    captured_at: datetime
    happened_at: datetime
    """When it went wrong, as far as that is told; else when it was captured."""
    seq: int
    """Order of arrival in the queue it was captured from; 0 for an imported one."""
    origin_seq: int | None = None
    """Its number in the queue it had been in before, where that is counted."""
    origin_exchange: str = ""
    origin_routing_key: str = ""
    deaths: int = 1
    """How often it went wrong, as far as that is told."""
    job_id: str | None = None
    message_id: str | None = None
    correlation_id: str | None = None
    size_bytes: int = 0
    """Of its body."""
    body: bytes = b""
    """Untouched. Empty in lists, which are read without."""
    properties: bytes = b""
    """All AMQP properties, headers included, as they are in AMQP's content header."""
    key: str | None = None
    """By what it is recognised when it comes twice; None for a message without any id."""
    fingerprint: bytes | None = None
    """By what it is compared with others when it comes again and has no key; None for what was not captured."""
    maybe_repeated: str | None = None
    """The equal letter, stored before, that it may be a repetition of: the broker does not tell."""
    state: LetterState = LetterState.OPEN
    replay_id: str | None = None
    """The latest replay that took it."""
    attempts_before: int | None = None
    """Attempts that its job had had when the latest replay was about to send it; of a job request only."""
    parent: str | None = None
    """The letter that it was before it was replayed and failed again."""
    sent_by: str | None = None
    """The replay that had sent the message before it failed again; it does not send it once more."""
    sendings: Sequence[Sending] = ()
    """The times it was replayed."""
    edit: Edit | None = None
    note: str = ""
    """Why it was discarded."""
    settled_at: datetime | None = None
    """When it got a state of `CLOSED`."""

    @property
    def outgoing(self) -> tuple[bytes, bytes]:
        """Body and properties that a replay sends, before it makes them fit for their queue."""
        return (self.edit.body, self.edit.properties) if self.edit else (self.body, self.properties)


@dataclass(slots=True, frozen=True, kw_only=True)
class LetterFilter:
    """Which letters are meant; None means any."""

    ids: Sequence[str] | None = None
    cause_id: str | None = None
    states: Sequence[LetterState] | None = None
    kind: LetterKind | None = None
    queue: str | None = None
    """The queue they were captured from."""
    origin: str | None = None
    """The queue they had been in before."""
    reason: str | None = None
    extractor_id: str | None = None
    job_id: str | None = None
    replay_id: str | None = None
    maybe_repeated: bool | None = None
    """Those that may be a repetition of an earlier one, or the others."""
    since: datetime | None = None
    """Captured at this time or later."""
    until: datetime | None = None
    """Captured before this time, or at it."""

    def among(self, states: Sequence[LetterState]) -> "LetterFilter":
        """Narrow it down to letters in some states.

        Args:
            states: The states; those that it does not ask for are left out.

        Returns:
            The narrower filter.
        """
        return replace(self, states=tuple(state for state in states if self.states is None or state in self.states))

    def to_replay(self, *, include_repeated: bool = False) -> "LetterFilter":
        """Leave out what may be a repetition of another letter, unless that is asked for.

        Args:
            include_repeated: Whether it is asked for; letters that are named, or looked for as such, always are.

        Returns:
            The filter for a replay.
        """
        is_asked_for = include_repeated or self.ids is not None or self.maybe_repeated is not None
        return self if is_asked_for else replace(self, maybe_repeated=False)


@dataclass(slots=True, frozen=True, kw_only=True)
class Fix:
    """What somebody noted about a group: how it was mended the last time."""

    note: str
    who: str
    at: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class CauseGroup:
    """All letters of one cause."""

    id: str
    cause: Cause
    kind: LetterKind
    sample_error: str
    """The error of its newest letter, nothing folded."""
    first_seen: datetime
    last_seen: datetime
    counts: Mapping[LetterState, int]
    """Letters by state."""
    fix: Fix | None = None
    hours: Sequence[int] = field(default_factory=tuple)
    """Letters captured per hour, the latest hour last; empty where that was not asked for."""

    @property
    def total(self) -> int:
        """All its letters, whatever their state."""
        return sum(self.counts.values())

    @property
    def unsettled(self) -> int:
        """Letters about which something is to be done."""
        return sum(self.counts.get(state, 0) for state in UNSETTLED)

"""Dead letters: messages that could not be processed, kept until their outcome is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b


class LetterState(StrEnum):
    """What is to be done about a dead letter, or its outcome."""

    OPEN = "open"
    """It needs attention."""
    HELD = "held"
    """A replay is about to send it."""
    REPLAYED = "replayed"
    """Sent again; the outcome is pending."""
    RESOLVED = "resolved"
    """Sent again, and processed."""
    FAILED_AGAIN = "failed_again"
    """Sent again, and back as another dead letter, or its job failed once more."""
    UNKNOWN = "unknown"
    """Sent again, without a known outcome in time; it may be sent once more."""
    DISCARDED = "discarded"
    """Archived with a reason; it can be restored."""


UNSETTLED = (LetterState.OPEN, LetterState.UNKNOWN)
"""The open ones: they may be replayed, edited or discarded."""
CLOSED = (LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.DISCARDED)
"""The closed ones: nothing is left to do."""


class LetterKind(StrEnum):
    """What the message is; it decides how a dry run reads it, and how the outcome of a replay is found."""

    UPDATE = "update"
    """A status update of a reply queue."""
    HEARTBEAT = "heartbeat"
    REQUEST = "request"
    """A job request that a worker gave up on."""
    OTHER = "other"
    """Another service's message."""


ID_KEY = "letter/"
"""The prefix, before its id, of the key of an exported dead letter that has no other key."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Cause:
    """Why dead letters failed: those with the same cause are a group."""

    queue: str
    """The queue they were captured from."""
    origin: str
    """The queue they had been in before; empty if unknown."""
    reason: str
    """A `models.dead_letters.reasons.DeadLetterReason`, RabbitMQ's own reason, or `gave_up`."""
    error: str
    """The normalized error."""
    extractor_id: str
    """Empty if unknown."""
    version: str
    """The sender's version; empty if unknown."""


def cause_id_of(cause: Cause, kind: LetterKind) -> str:
    """Make the id of a group.

    Args:
        cause: Why its dead letters failed.
        kind: What they are.

    Returns:
        The same id for the same cause and kind, in every process.
    """
    parts = (cause.queue, cause.origin, cause.reason, cause.error, cause.extractor_id, cause.version, kind)
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


@dataclass(slots=True, frozen=True, kw_only=True)
class Edit:
    """What is sent instead of the original bytes."""

    body: bytes
    properties: bytes
    """As in `Letter`."""
    by: str
    at: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class Sending:
    """One replay of a dead letter."""

    replay_id: str
    at: datetime
    target: str
    """The queue it was sent to; empty if no broker accepts it as it is."""
    attempts: int = 0
    """Attempts of its job before that; of a job request only."""
    outcome: LetterState = LetterState.REPLAYED
    detail: str = ""
    """The outcome in words."""
    outcome_at: datetime | None = None
    child: str | None = None
    """The dead letter as which it came back."""


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
    """The error as it came, without secrets."""
    captured_at: datetime
    happened_at: datetime
    """When it failed, if that is known; else when it was captured."""
    seq: int
    """Its number in the queue it was captured from; 0 for an imported one."""
    origin_seq: int | None = None
    """Its number in the queue it had been in before, if known."""
    origin_exchange: str = ""
    origin_routing_key: str = ""
    deaths: int = 1
    """How often it failed, as far as known."""
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
    """What identifies it when it comes twice; None for a message without any id."""
    fingerprint: bytes | None = None
    """A hash to recognize it without a key; None if it was not captured."""
    maybe_repeated: str | None = None
    """The equal, earlier dead letter that it may be a repetition of."""
    state: LetterState = LetterState.OPEN
    replay_id: str | None = None
    """The latest replay that took it."""
    attempts_before: int | None = None
    """Attempts of its job before the latest replay; of a job request only."""
    parent: str | None = None
    """The dead letter that it was before it was replayed and failed again."""
    sent_by: str | None = None
    """The replay that sent it before it failed again; that one does not send it once more."""
    sendings: Sequence[Sending] = ()
    """Its replays."""
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
    """A selection of dead letters; None means any."""

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
    """Only possible repetitions, or only the others."""
    since: datetime | None = None
    """Captured at this time or later."""
    until: datetime | None = None
    """Captured before this time, or at it."""

    def among(self, states: Sequence[LetterState]) -> "LetterFilter":
        """Narrow the selection to some states.

        Args:
            states: The states; those outside the selection are left out.

        Returns:
            The narrower selection, which may be empty.
        """
        return replace(self, states=tuple(state for state in states if self.states is None or state in self.states))

    def to_replay(self, *, include_repeated: bool = False) -> "LetterFilter":
        """Leave out possible repetitions, unless they are requested.

        Args:
            include_repeated: Whether they are requested; named ones, and a selection by `maybe_repeated`, always are.

        Returns:
            The selection for a replay.
        """
        is_asked_for = include_repeated or self.ids is not None or self.maybe_repeated is not None
        return self if is_asked_for else replace(self, maybe_repeated=False)


@dataclass(slots=True, frozen=True, kw_only=True)
class Fix:
    """A note about a group: how it was fixed."""

    note: str
    who: str
    at: datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class CauseGroup:
    """All dead letters with one cause."""

    id: str
    cause: Cause
    kind: LetterKind
    sample_error: str
    """The error of its newest dead letter, not normalized."""
    first_seen: datetime
    last_seen: datetime
    counts: Mapping[LetterState, int]
    """Dead letters by state."""
    fix: Fix | None = None
    hours: Sequence[int] = field(default_factory=tuple)
    """Captured per hour, the latest hour last; may be left out."""

    @property
    def total(self) -> int:
        """Dead letters in any state."""
        return sum(self.counts.values())

    @property
    def unsettled(self) -> int:
        """Open dead letters."""
        return sum(self.counts.get(state, 0) for state in UNSETTLED)

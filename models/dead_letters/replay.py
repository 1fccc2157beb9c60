"""Replays: dead letters that are sent again, in stages and batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState

STAGES = (1, 10)
"""After so many a staged replay waits for outcomes; then it sends the rest."""


class ReplayState(StrEnum):
    """How far a replay is."""

    WAITING = "waiting"
    """No process runs it yet."""
    RUNNING = "running"
    CANCELLED = "cancelled"
    """Stopped on request; what was sent stays sent."""
    HALTED = "halted"
    """It stopped itself: outcomes failed, or it could not go on."""
    DONE = "done"
    """All were sent."""

    @property
    def is_end(self) -> bool:
        """Whether nothing more is sent."""
        return self not in (ReplayState.WAITING, ReplayState.RUNNING)


@dataclass(slots=True, frozen=True, kw_only=True)
class Replay:
    """One replay."""

    id: str
    selection: LetterFilter
    """Which dead letters; none that were captured after the request."""
    target: str | None
    """The queue they go to; None sends each to where it came from."""
    rate: float | None
    """Dead letters per second at most; None for no limit."""
    staged: bool
    who: str
    origin: str
    """Where the request came from: a network address, or `cli`."""
    asked_at: datetime
    total: int
    """Dead letters in the selection at the time of the request."""
    state: ReplayState = ReplayState.WAITING
    cancel: bool = False
    """A stop was requested."""
    sent: int = 0
    counts: Mapping[LetterState, int] = field(default_factory=dict)
    """Outcomes of what was sent."""
    detail: str = ""
    """What it waits for, or why it ended."""
    ended_at: datetime | None = None

    @property
    def cancelling(self) -> bool:
        """Whether it was cancelled and has not ended yet."""
        return self.cancel and not self.state.is_end

    @property
    def failed(self) -> int:
        """How many failed again."""
        return self.counts.get(LetterState.FAILED_AGAIN, 0)

    @property
    def pending(self) -> int:
        """How many outcomes are pending."""
        return self.counts.get(LetterState.REPLAYED, 0)

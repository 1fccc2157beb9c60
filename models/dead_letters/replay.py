"""Replays: dead letters that are sent again, in stages and batches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState

STAGES = (1, 10)
"""After so many letters a staged replay waits for their outcomes; then it sends the rest."""


class ReplayState(StrEnum):
    """How far a replay is."""

    WAITING = "waiting"
    """Nobody runs it yet."""
    RUNNING = "running"
    CANCELLED = "cancelled"
    """Somebody stopped it; what was sent stays sent."""
    HALTED = "halted"
    """It stopped itself: outcomes failed, or it could not go on."""
    DONE = "done"
    """All its letters were sent."""

    @property
    def is_end(self) -> bool:
        """Whether nothing more is sent."""
        return self not in (ReplayState.WAITING, ReplayState.RUNNING)


@dataclass(slots=True, frozen=True, kw_only=True)
class Replay:
    """One replay."""

    id: str
    selection: LetterFilter
    """Which letters; those that were captured later than it was asked for are none of them."""
    target: str | None
    """The queue they go to; None sends each to where it came from."""
    rate: float | None
    """Letters per second at the most; None for no limit."""
    staged: bool
    who: str
    origin: str
    """From where it was asked for: a network address, or `cli`."""
    asked_at: datetime
    total: int
    """Letters that it was about when it was asked for."""
    state: ReplayState = ReplayState.WAITING
    cancel: bool = False
    """Somebody wants it to stop."""
    sent: int = 0
    counts: Mapping[LetterState, int] = field(default_factory=dict)
    """What became of the letters that were sent."""
    detail: str = ""
    """What it waits for, or why it ended."""
    ended_at: datetime | None = None

    @property
    def failed(self) -> int:
        """Letters that failed again."""
        return self.counts.get(LetterState.FAILED_AGAIN, 0)

    @property
    def pending(self) -> int:
        """Letters whose outcome is not known yet."""
        return self.counts.get(LetterState.REPLAYED, 0)

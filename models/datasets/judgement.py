"""What a replay of a letter would come to, as far as that can be told beforehand."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What would happen."""

    APPLIES = "applies"
    """It would be processed."""
    DUPLICATE = "duplicate"
    """It would be recognised as stored already."""
    FAILS = "fails"
    """It would fail again."""
    UNTOLD = "untold"
    """Nobody can say: it is another service's message, or it is not known where it would go."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Judgement:
    """What a replay of one letter would come to."""

    verdict: Verdict
    reason: str
    """Why, in words; the same for the same cause."""
    detail: str = ""
    """What exactly."""


@dataclass(slots=True, kw_only=True)
class DryRun:
    """What a replay of many letters would come to."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[tuple[Verdict, str]] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    """Letters by the queue they would go to; empty where nobody knows one."""

    @property
    def total(self) -> int:
        """Letters that were judged."""
        return self.counts.total()

    def add(self, judgement: Judgement, target: str) -> None:
        """Count one letter.

        Args:
            judgement: What it would come to.
            target: The queue it would go to.
        """
        self.counts[judgement.verdict] += 1
        self.reasons[judgement.verdict, judgement.reason] += 1
        self.targets[target] += 1

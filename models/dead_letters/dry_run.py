"""What a replay would do, as far as that can be predicted."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What would happen."""

    APPLIES = "applies"
    """It would be processed."""
    DUPLICATE = "duplicate"
    """It is stored already."""
    FAILS = "fails"
    """It would fail again."""
    UNKNOWN = "untold"
    """Unknown: it is another service's message, or its target is unknown."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Judgement:
    """What a replay of one dead letter would do."""

    verdict: Verdict
    reason: str
    """Why, in words; the same for the same cause."""
    detail: str = ""
    """What exactly."""


@dataclass(slots=True, kw_only=True)
class DryRun:
    """What a replay of many dead letters would do."""

    counts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[tuple[Verdict, str]] = field(default_factory=Counter)
    targets: Counter[str] = field(default_factory=Counter)
    """Dead letters by their target queue; empty if unknown."""
    is_whole: bool = True
    """Whether all were judged, and not only the oldest up to a limit."""

    @property
    def total(self) -> int:
        """How many were judged."""
        return self.counts.total()

    def add(self, judgement: Judgement, target: str) -> None:
        """Count one dead letter.

        Args:
            judgement: What its replay would do.
            target: The queue it would go to.
        """
        self.counts[judgement.verdict] += 1
        self.reasons[judgement.verdict, judgement.reason] += 1
        self.targets[target] += 1

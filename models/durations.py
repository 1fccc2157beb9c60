"""How long many things took: a histogram of bins that grow, so that few numbers tell any share closely enough."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

GROWTH = 1.1
"""Bin `k` holds the durations from `GROWTH**k` up to `GROWTH**(k+1)` milliseconds; bin 0 all that are shorter, too."""
ERROR = math.sqrt(GROWTH) - 1
"""How far a duration that is told from here may be off, as a share of it: 4.9 %."""


@dataclass(slots=True, frozen=True)
class Durations:
    """How many things took how long."""

    bins: Mapping[int, int] = field(default_factory=dict)
    """How many, by bin."""

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.bins.values())

    def within_s(self, share: float) -> float | None:
        """Tell the time within which a share of them was done: the nearest rank, off by at most `ERROR`.

        Args:
            share: Of all, from 0 to 1: 0.5 asks for the median.

        Returns:
            Seconds; None where there are none.
        """
        rank = math.ceil(share * self.count)
        for number in sorted(self.bins):
            rank -= self.bins[number]
            if rank <= 0:
                return math.pow(GROWTH, number + 0.5) / 1000
        return None


def summed(parts: Iterable[Durations]) -> Durations:
    """Put several histograms together."""
    bins: Counter[int] = Counter()
    for part in parts:
        bins.update(part.bins)
    return Durations(bins)

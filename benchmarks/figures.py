"""What a benchmark measures, and what it should be."""

from dataclasses import dataclass
from statistics import median
from typing import Literal


@dataclass(slots=True, frozen=True)
class Target:
    """What a figure should be."""

    kind: Literal["at least", "less than"]
    limit: float

    def is_met(self, value: float) -> bool:
        """Tell whether a value is what it should be.

        Args:
            value: In the unit of its figure.

        Returns:
            Whether it is.
        """
        return value >= self.limit if self.kind == "at least" else value < self.limit


@dataclass(slots=True, frozen=True, kw_only=True)
class Figure:
    """One measured quantity."""

    name: str
    """Dotted, the benchmark's name first."""
    value: float
    unit: str
    """Such as `events/s`; `x` for a ratio."""
    meaning: str
    """In a few words."""
    target: Target | None = None
    """None for what is told for information."""
    samples: tuple[float, ...] = ()
    """One per round; the value is their median."""

    @property
    def is_met(self) -> bool | None:
        """Whether it is what it should be; None where nothing is asked."""
        return self.target.is_met(self.value) if self.target else None


def figure_of(samples: list[float], name: str, unit: str, meaning: str, target: Target | None = None) -> Figure:
    """Make a figure of several rounds.

    Args:
        samples: One value per round, at least one.
        name: The figure's name.
        unit: Its unit.
        meaning: What it says.
        target: What it should be.

    Returns:
        The figure; its value is the median of the rounds.
    """
    return Figure(name=name, value=median(samples), unit=unit, meaning=meaning, target=target, samples=tuple(samples))

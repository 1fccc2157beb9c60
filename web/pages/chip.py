"""The filters of a list that are on, each with the way to be without it."""

from dataclasses import dataclass


@dataclass(slots=True, frozen=True, kw_only=True)
class Chip:
    """One filter that is on."""

    name: str
    value: str
    without: str
    """The address of the list without it."""

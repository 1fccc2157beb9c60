"""The conservation of messages: what was taken from a queue is stored, a duplicate, or a dead letter."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True, frozen=True, kw_only=True)
class Tally:
    """What was taken from a queue within an hour, as it was counted in the transactions that stored it."""

    queue: str
    hour: datetime
    """Its beginning."""
    first_seq: int
    last_seq: int
    handed_out: int
    """Messages that the broker handed out, each counted once however often it was redelivered."""
    stored: int
    duplicates: int
    dead_lettered: int


@dataclass(slots=True, frozen=True, kw_only=True)
class Findings:
    """What is found now of what was taken in an hour."""

    stored: int
    """Documents with a number of this hour."""
    letters: int
    """Dead letters that were captured with a number of this hour."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Balance:
    """One line of the audit: a queue and an hour."""

    tally: Tally
    found: Findings
    waiting: int
    """Dead letters of this hour that may still wait to be captured."""

    @property
    def missing(self) -> int:
        """Messages of which nothing is found."""
        return self.missing_numbers + self.missing_documents + self.missing_letters

    @property
    def missing_numbers(self) -> int:
        """Deliveries of which it is not known what became of them."""
        tally = self.tally
        counted = tally.stored + tally.duplicates + tally.dead_lettered
        return abs(tally.last_seq - tally.first_seq + 1 - tally.handed_out) + abs(tally.handed_out - counted)

    @property
    def missing_documents(self) -> int:
        """Stored ones that are not found, or found and never stored."""
        return abs(self.tally.stored - self.found.stored)

    @property
    def missing_letters(self) -> int:
        """Dead letters that are neither captured nor waiting."""
        return max(0, self.tally.dead_lettered - self.found.letters - self.waiting)

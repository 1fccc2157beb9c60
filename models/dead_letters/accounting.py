"""The conservation of messages: each number of a stream is found once, as an event, a duplicate or a dead letter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

FIRST_NUMBERS = 10
"""How many of the numbers that are wrong are named."""


@dataclass(slots=True, frozen=True, kw_only=True)
class HourlyCount:
    """What was taken from a queue or stream within an hour, as it was counted in the transactions that stored it."""

    queue: str
    hour: datetime
    """Its beginning."""
    first_seq: int
    last_seq: int
    handed_out: int
    """Messages that were taken: of a stream, the offsets that were passed."""
    stored: int
    duplicates: int
    dead_lettered: int
    unused: int = 0
    """Offsets that the broker took for itself."""

    @property
    def numbers(self) -> range:
        """The hour's numbers in the order of arrival."""
        return range(self.first_seq, self.last_seq + 1)

    @property
    def uncounted(self) -> int:
        """Messages of which it was not counted what became of them."""
        counted = self.stored + self.duplicates + self.dead_lettered + self.unused
        return abs(len(self.numbers) - self.handed_out) + abs(self.handed_out - counted)


@dataclass(slots=True, kw_only=True)
class Numbers:
    """Some numbers of a stream: how many they are, and the first few."""

    count: int = 0
    first: list[int] = field(default_factory=list)

    def add(self, number: int) -> None:
        """Add a number; they come in order."""
        self.count += 1
        if len(self.first) < FIRST_NUMBERS:
            self.first.append(number)


@dataclass(slots=True, kw_only=True)
class StreamFindings:
    """What is found now of the numbers of a stream's hour."""

    missing: Numbers = field(default_factory=Numbers)
    """Of these nothing is found."""
    doubled: Numbers = field(default_factory=Numbers)
    """These are found more than once."""


@dataclass(slots=True, frozen=True, kw_only=True)
class QueueFindings:
    """What is found now of a queue's hour: counts only, as duplicates of a queue have no record."""

    stored: int
    """Documents with a number of this hour."""
    letters: int
    """Dead letters that were captured with a number of this hour."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Balance:
    """One line of the audit: a queue or stream, and an hour."""

    tally: HourlyCount
    missing: int
    """Messages of which nothing is found."""
    doubled: int
    """Messages that are found more than once."""
    missing_numbers: Sequence[int] = ()
    """The first few; only of a stream."""
    doubled_numbers: Sequence[int] = ()
    waiting: int = 0
    """Dead letters of this hour that may still wait to be captured; only of a queue."""
    difference: str
    """What is wrong, in words; empty where nothing is."""

    @property
    def wrong(self) -> int:
        """Messages that are not found exactly once."""
        return self.missing + self.doubled


def joined(tallies: Sequence[HourlyCount]) -> Sequence[HourlyCount]:
    """Join a stream's hours whose numbers overlap: two owners whose clocks disagreed counted in them by turns.

    Args:
        tallies: One stream's tallies.

    Returns:
        Tallies whose numbers do not overlap, in their order.
    """
    apart: list[HourlyCount] = []
    for tally in sorted(tallies, key=lambda each: each.first_seq):
        if apart and tally.first_seq <= apart[-1].last_seq:
            apart[-1] = _both(apart[-1], tally)
        else:
            apart.append(tally)
    return apart


def _both(first: HourlyCount, second: HourlyCount) -> HourlyCount:
    return HourlyCount(
        queue=first.queue,
        hour=min(first.hour, second.hour),
        first_seq=first.first_seq,
        last_seq=max(first.last_seq, second.last_seq),
        handed_out=first.handed_out + second.handed_out,
        stored=first.stored + second.stored,
        duplicates=first.duplicates + second.duplicates,
        dead_lettered=first.dead_lettered + second.dead_lettered,
    )


def stream_balance(tally: HourlyCount, found: StreamFindings, before: HourlyCount | None) -> Balance:
    """Compare a stream's hour with what is found of it.

    Args:
        tally: The hour.
        found: What is found.
        before: The stream's hour before; None where it is not known.

    Returns:
        The balance.
    """
    skipped = range(tally.first_seq if before is None else before.last_seq + 1, tally.first_seq)
    parts = []
    if skipped:
        parts.append(
            f"{_numbers(len(skipped))} before it {'is' if len(skipped) == 1 else 'are'} in no hour: "
            f"{_listed(skipped[:FIRST_NUMBERS], len(skipped))}"
        )
    if tally.uncounted:
        counted = tally.stored + tally.duplicates + tally.dead_lettered
        parts.append(f"{_numbers(len(tally.numbers))}, {tally.handed_out:,} handed out, {counted:,} counted")
    if found.missing.count:
        parts.append(f"{found.missing.count:,} not found: {_listed(found.missing.first, found.missing.count)}")
    if found.doubled.count:
        parts.append(f"{found.doubled.count:,} found twice: {_listed(found.doubled.first, found.doubled.count)}")
    return Balance(
        tally=tally,
        missing=len(skipped) + tally.uncounted + found.missing.count,
        doubled=found.doubled.count,
        missing_numbers=[*skipped[:FIRST_NUMBERS], *found.missing.first][:FIRST_NUMBERS],
        doubled_numbers=found.doubled.first,
        difference="; ".join(parts),
    )


def queue_balance(tally: HourlyCount, found: QueueFindings, waiting: int) -> Balance:
    """Compare a queue's hour with what is found of it.

    Args:
        tally: The hour.
        found: What is found.
        waiting: Dead letters of this hour that may still wait to be captured.

    Returns:
        The balance.
    """
    missing_letters = max(0, tally.dead_lettered - found.letters - waiting)
    parts = []
    if tally.uncounted:
        parts.append(f"{_numbers(len(tally.numbers))} for {tally.handed_out:,} messages")
    if tally.stored != found.stored:
        parts.append(f"{tally.stored:,} stored, {found.stored:,} found")
    if missing_letters:
        parts.append(f"{tally.dead_lettered:,} dead letters, {found.letters:,} captured, {waiting:,} waiting")
    return Balance(
        tally=tally,
        missing=tally.uncounted + max(0, tally.stored - found.stored) + missing_letters,
        doubled=max(0, found.stored - tally.stored),
        waiting=waiting,
        difference="; ".join(parts),
    )


def _numbers(count: int) -> str:
    return "1 number" if count == 1 else f"{count:,} numbers"


def _listed(first: Sequence[int], count: int) -> str:
    named = ", ".join(map(str, first))
    return named if count == len(first) else f"{named} and {count - len(first):,} more"

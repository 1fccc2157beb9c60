"""Figures of the jobs that ended in the last hour, day or week: rates, outcomes and durations, bucket by bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from jobtrail.models.jobs.status import Status
from jobtrail.store.jobs.statistics import StatusCount, added

Span = tuple[datetime, datetime]
"""Beginning, and end, which belongs to it no more."""


class Window(StrEnum):
    """How far figures look back."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    @property
    def step(self) -> timedelta:
        """How long each bucket is."""
        return _STEPS[self]

    @property
    def words(self) -> str:
        """Name it in a sentence."""
        return _WORDS[self]

    def spans(self, now: datetime) -> Sequence[Span]:
        """Cut it into buckets at round times, the oldest first; the present lies in the last one."""
        newest = _EPOCH + (now - _EPOCH) // self.step * self.step
        begun = [newest - self.step * back for back in reversed(range(_BUCKETS[self]))]
        return [(since, since + self.step) for since in begun]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = {Window.HOUR: timedelta(minutes=1), Window.DAY: timedelta(minutes=30), Window.WEEK: timedelta(hours=3)}
_BUCKETS = {Window.HOUR: 60, Window.DAY: 48, Window.WEEK: 56}
_WORDS = {Window.HOUR: "the last hour", Window.DAY: "the last 24 hours", Window.WEEK: "the last 7 days"}


@dataclass(slots=True, frozen=True, kw_only=True)
class Bucket:
    """One bucket of a window."""

    since: datetime
    until: datetime
    tally: StatusCount | None
    """What ended in it; None while it is not counted."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Figures:
    """What ended in a window."""

    window: Window
    buckets: Sequence[Bucket]
    """The oldest first; the last one is still going on."""
    total: StatusCount
    """That of all buckets that are counted."""
    counted_s: float
    """How much of the window is counted, in seconds."""

    @property
    def ended(self) -> int:
        """How many jobs ended."""
        return sum(self.total.ended.values())

    @property
    def per_hour(self) -> float | None:
        """Jobs that ended per hour; None while nothing is counted."""
        return self.ended * 3600 / self.counted_s if self.counted_s else None

    @property
    def failure_rate(self) -> float | None:
        """The share that failed, from 0 to 1, of what workers ended; cancelled ones are left out."""
        ended = self.total.ended
        worked = sum(ended.get(status, 0) for status in (Status.SUCCEEDED, Status.ERROR, Status.SKIPPED))
        return ended.get(Status.ERROR, 0) / worked if worked else None

    @property
    def p50_s(self) -> float | None:
        """The median duration in seconds, within `models.durations.ERROR`."""
        return self.total.durations.within_s(0.5)

    @property
    def p95_s(self) -> float | None:
        """Within how many seconds 95 % were done, within `models.durations.ERROR`."""
        return self.total.durations.within_s(0.95)

    @property
    def uncounted(self) -> int:
        """How many buckets are still to be counted."""
        return sum(bucket.tally is None for bucket in self.buckets)


@dataclass(slots=True, frozen=True, kw_only=True)
class BucketCount:
    """What was counted of a bucket."""

    by_extractor: Mapping[str, StatusCount]
    everyone: StatusCount


@dataclass(slots=True, frozen=True, kw_only=True)
class Period:
    """A window as far as it was counted at a moment."""

    window: Window
    now: datetime
    counts: Mapping[Span, BucketCount | None]
    """By bucket, the oldest first; None for what is not counted."""

    @property
    def extractors(self) -> Sequence[str]:
        """The extractors of which a job ended, by name."""
        return sorted({name for count in self.counts.values() if count for name in count.by_extractor})

    def figures(self, extractor: str | None = None) -> Figures:
        """Return the figures of one extractor, or of all; also of one of which no job ended."""
        buckets = [
            Bucket(since=since, until=until, tally=_tally(count, extractor) if count else None)
            for (since, until), count in self.counts.items()
        ]
        counted = [bucket for bucket in buckets if bucket.tally is not None]
        return Figures(
            window=self.window,
            buckets=buckets,
            total=added(bucket.tally for bucket in counted if bucket.tally),
            counted_s=sum((min(bucket.until, self.now) - bucket.since).total_seconds() for bucket in counted),
        )


def _tally(count: BucketCount, extractor: str | None) -> StatusCount:
    return count.everyone if extractor is None else count.by_extractor.get(extractor, StatusCount())

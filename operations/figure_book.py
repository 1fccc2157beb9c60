"""Keeps the figures of what ended: counted bucket by bucket, shared by all readers.

A page costs the jobs of the newest bucket at the most. The first look at a week of millions of jobs shows what is
counted so far, and the rest is counted meanwhile.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from jobtrail.models.errors import StoreError, TooBroadError
from jobtrail.operations.figures import BucketCount, Period, Span, Window
from jobtrail.store.jobs.statistics import StatisticsRepository, added

log = structlog.get_logger()

SETTLED_AFTER = timedelta(minutes=2)
"""Updates of a bucket's jobs may be on their way for so long after its end."""
KEPT_BUCKETS = 512
"""Buckets that are kept: those of all windows, three times."""
_LIVE_S = 3.0
"""Seconds for which the count of a bucket that is not settled is good enough."""
_IDLE_SHARE = 20
"""A count is good for so many times what it took: counting takes 5 % of the database's time at the most."""
_PATIENCE_S = 0.4
"""Seconds that a reader waits for buckets to be counted before it gets those that are."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Usual:
    """How long an extractor's jobs usually take."""

    p50_s: float
    p95_s: float
    jobs: int
    """Of how many jobs."""
    window: Window


@dataclass(slots=True, frozen=True)
class _Entry:
    """A count, and for how long it is good."""

    count: BucketCount | None
    """None where there is too much to count."""
    good_until_s: float
    """By the monotonic clock."""


class FigureBook:
    """Counts, and keeps the counts; simultaneous readers share one count, and wait `patience_s` for it at most."""

    def __init__(self, repository: StatisticsRepository, *, patience_s: float = _PATIENCE_S) -> None:
        self._repository = repository
        self._patience_s = patience_s
        self._entries: OrderedDict[Span, _Entry] = OrderedDict()
        self._counting: dict[Window, asyncio.Task[None]] = {}

    async def read(self, window: Window, now: datetime) -> Period:
        """Read the counts of a window, and have counted what is missing or old.

        A count of the past is good for as long again as the past is old when it is made, as updates may come late from
        a worker's spool; that of the present for a few seconds.
        """
        spans = window.spans(now)
        if not all(self._is_good(span) for span in spans):
            await self._have_counted(window, spans, now)
        counts: dict[Span, BucketCount | None] = {}
        for span in spans:
            entry = self._entries.get(span)
            counts[span] = entry.count if entry else None
            if entry:
                self._entries.move_to_end(span)
        return Period(window=window, now=now, counts=counts)

    async def usual(self, extractor: str, now: datetime) -> Usual | None:
        """Tell how long an extractor's jobs usually take, by the last day, or the last week where none ended in it."""
        for window in (Window.DAY, Window.WEEK):
            figures = (await self.read(window, now)).figures(extractor)
            if figures.p50_s is not None and figures.p95_s is not None:
                jobs = figures.total.durations.count
                return Usual(p50_s=figures.p50_s, p95_s=figures.p95_s, jobs=jobs, window=window)
        return None

    def _is_good(self, span: Span) -> bool:
        entry = self._entries.get(span)
        return entry is not None and time.monotonic() < entry.good_until_s

    async def _have_counted(self, window: Window, spans: Sequence[Span], now: datetime) -> None:
        """Wait, but not for long, until the buckets are counted; the counting goes on after that."""
        counting = self._counting.get(window)
        if counting is None:
            counting = self._counting[window] = asyncio.create_task(self._count(window, spans, now))
        done, _ = await asyncio.wait({counting}, timeout=self._patience_s)
        for task in done:
            task.result()

    async def _count(self, window: Window, spans: Sequence[Span], now: datetime) -> None:
        """Count what is missing or old, one bucket after the other, the newest first."""
        try:
            for span in reversed(spans):
                if not self._is_good(span):
                    await self._count_bucket(span, now)
        except StoreError as error:
            log.warning("Figures are not complete", action="web.not_counted", window=window.value, error=str(error))
        finally:
            del self._counting[window]

    async def _count_bucket(self, span: Span, now: datetime) -> None:
        started_s = time.monotonic()
        count = None
        try:
            by_extractor = await self._repository.tally(*span)
            count = BucketCount(by_extractor=by_extractor, everyone=added(by_extractor.values()))
        except TooBroadError as error:
            log.warning("A bucket is left out", action="web.bucket_not_counted", since=str(span[0]), error=str(error))
        ended_s = time.monotonic()
        good_for_s = max(_good_for_s(span, now), (ended_s - started_s) * _IDLE_SHARE)
        self._entries[span] = _Entry(count, ended_s + good_for_s)
        self._entries.move_to_end(span)
        while len(self._entries) > KEPT_BUCKETS:
            self._entries.popitem(last=False)


def _good_for_s(span: Span, now: datetime) -> float:
    since, until = span
    if now < until + SETTLED_AFTER:
        return _LIVE_S
    return max(now - until, until - since).total_seconds()

"""Figures of the jobs that ended, compared with a naive count of random jobs; and how they are kept."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jobtrail.models.durations import ERROR
from jobtrail.models.errors import StoreError, TooBroadError
from jobtrail.models.jobs.job import JobState, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.operations import figure_book
from jobtrail.operations.figure_book import FigureBook
from jobtrail.operations.figures import Figures, Window
from jobtrail.store.database import Database
from jobtrail.store.jobs import statistics
from jobtrail.store.jobs.statistics import StatisticsRepository
from tests.jobs import BEGUN, a_job, store
from tests.support import eventually_async

NOW = BEGUN + timedelta(hours=7, minutes=41, seconds=30)
EXTRACTORS = ["x", "y", "z"]


@pytest.fixture(autouse=True)
def _slow_machines_may_count_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted last finds what was counted first still good."""
    monkeypatch.setattr(figure_book, "_LIVE_S", 600)


def a_random_job(number: int, chance: random.Random) -> JobState:
    """A job as its updates leave it: ended, resubmitted, running, without a start, with late updates."""
    moment = NOW - timedelta(seconds=chance.choice([600, 7200, 90_000, 700_000]) * chance.random())
    job = None
    for _ in range(chance.randint(1, 7)):
        state = chance.choice(list(Status))
        update = StatusUpdate(
            extractor_id=EXTRACTORS[number % 3],
            resource_id="d-1",
            job_id=f"job-{number}",
            status=state.value,
            state=state,
            message="",
            event_time=moment,
        )
        job, _ = fold(job, update, moment)
        moment += timedelta(milliseconds=round(chance.choice([1, 50, 3000, 400_000]) * chance.random()))
    assert job is not None
    return job


def check(figures: Figures, jobs: Iterable[JobState]) -> None:
    """Compare with a count of all jobs, one by one."""
    ended = [job for job in jobs if job.status.is_end]
    for bucket in figures.buckets:
        inside = [job for job in ended if bucket.since <= job.updated_at < bucket.until]
        assert bucket.tally is not None
        assert bucket.tally.ended == Counter(job.status for job in inside)
        close_to(bucket.tally.durations.within_s(0.5), inside, 0.5)
    inside = [job for job in ended if figures.buckets[0].since <= job.updated_at < figures.buckets[-1].until]
    assert figures.ended == len(inside)
    close_to(figures.p50_s, inside, 0.5)
    close_to(figures.p95_s, inside, 0.95)
    by_workers = [job for job in inside if job.status is not Status.CANCELLED]
    failed = [job for job in inside if job.status is Status.ERROR]
    assert figures.failure_rate == (len(failed) / len(by_workers) if by_workers else None)


def close_to(told_s: float | None, jobs: Iterable[JobState], share: float) -> None:
    worked = [job for job in jobs if job.status in (Status.SUCCEEDED, Status.ERROR)]
    exact = sorted(job.elapsed_s for job in worked if job.elapsed_s is not None)
    if not exact:
        assert told_s is None
        return
    exact_s = exact[math.ceil(share * len(exact)) - 1]
    assert told_s is not None
    assert abs(told_s - exact_s) <= max(0.0011, exact_s * ERROR * 1.001)


@pytest.mark.parametrize("seed", [1, 2])
async def test_figures_agree_with_a_count_of_all_jobs_one_by_one(database, mongo_client, settings, seed):
    chance = random.Random(seed)
    jobs = [a_random_job(number, chance) for number in range(400)]
    store(mongo_client[settings.database], *jobs)
    assert sum(job.status.is_end for job in jobs) > 100
    assert sum(job.status.is_end and job.started_at is None for job in jobs) > 5
    # What makes the count by index right: the last update of an ended job is its end.
    assert all(job.updated_at == job.finished_at for job in jobs if job.status.is_end)
    book = FigureBook(StatisticsRepository(database), patience_s=30)
    for window in Window:
        period = await book.read(window, NOW)
        check(period.figures(), jobs)
        for extractor in EXTRACTORS:
            check(period.figures(extractor), [job for job in jobs if job.extractor_id == extractor])
        assert set(period.extractors) <= set(EXTRACTORS)
        assert period.figures("nobody").ended == 0


async def test_rates_count_the_time_that_has_passed(database, mongo_client, settings):
    jobs = [a_job(f"j{n}", Status.SUCCEEDED, finished_at=NOW, updated_at=NOW - timedelta(minutes=n)) for n in range(59)]
    store(mongo_client[settings.database], *jobs)
    figures = (await FigureBook(StatisticsRepository(database), patience_s=30).read(Window.HOUR, NOW)).figures()
    assert figures.counted_s == 59 * 60 + 30
    assert figures.per_hour == pytest.approx(59 * 3600 / figures.counted_s)
    assert (figures.p50_s, figures.failure_rate) == (None, 0)


class Watched(StatisticsRepository):
    """The repository, whose reads are noted and can be held up or fail."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.spans: list[tuple[datetime, datetime]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def tally(self, since: datetime, until: datetime):
        self.spans.append((since, until))
        await self.gate.wait()
        if self.error:
            raise self.error
        return await super().tally(since, until)


async def test_all_who_ask_at_once_share_one_count_and_the_past_is_kept(database, monkeypatch):
    repository = Watched(database)
    book = FigureBook(repository, patience_s=30)
    await asyncio.gather(*(book.read(Window.HOUR, NOW) for _ in range(20)))
    assert sorted(repository.spans) == list(Window.HOUR.spans(NOW))
    await book.read(Window.HOUR, NOW)
    assert len(repository.spans) == 60
    monkeypatch.setattr(figure_book, "_LIVE_S", 0)
    monkeypatch.setattr(figure_book, "_IDLE_SHARE", 0)
    fresh = FigureBook(repository, patience_s=30)
    await fresh.read(Window.HOUR, NOW)
    repository.spans.clear()
    await fresh.read(Window.HOUR, NOW)
    # Only what may still change: the present, and what has ended less than two minutes ago.
    assert repository.spans == list(reversed(Window.HOUR.spans(NOW)))[:3]
    repository.spans.clear()
    await fresh.read(Window.HOUR, NOW + timedelta(minutes=1))
    assert len(repository.spans) == 4


async def test_a_first_look_shows_what_is_counted_so_far_and_goes_on(database, mongo_client, settings):
    store(mongo_client[settings.database], a_job("j", Status.ERROR, finished_at=NOW, updated_at=NOW))
    repository = Watched(database)
    repository.gate.clear()
    book = FigureBook(repository, patience_s=0.01)
    figures = (await book.read(Window.WEEK, NOW)).figures()
    assert (figures.uncounted, figures.ended, figures.per_hour, figures.counted_s) == (56, 0, None, 0)
    repository.gate.set()

    async def complete() -> bool:
        return (await book.read(Window.WEEK, NOW)).figures().uncounted == 0

    await eventually_async(complete)
    assert (await book.read(Window.WEEK, NOW)).figures().total.ended == {Status.ERROR: 1}
    assert len(repository.spans) == 56


async def test_what_is_too_much_to_count_is_left_out_and_an_outage_is_got_over(database):
    repository = Watched(database)
    book = FigureBook(repository, patience_s=30)
    repository.error = StoreError("away")
    assert (await book.read(Window.DAY, NOW)).figures().uncounted == 48
    repository.error = TooBroadError("too many")
    assert (await book.read(Window.DAY, NOW)).figures().uncounted == 48
    assert len(repository.spans) == 1 + 48
    repository.error = None
    assert (await book.read(Window.HOUR, NOW)).figures().uncounted == 0


async def test_a_span_with_jobs_of_too_many_extractors_is_not_counted(database, mongo_client, settings, monkeypatch):
    ended = [a_job(f"j{n}", Status.SKIPPED, extractor_id=f"x{n}", updated_at=NOW, finished_at=NOW) for n in range(4)]
    store(mongo_client[settings.database], *ended)
    repository = StatisticsRepository(database)
    monkeypatch.setattr(statistics, "MAX_GROUPS", 4)
    assert len(await repository.tally(NOW, NOW + timedelta(seconds=1))) == 4
    monkeypatch.setattr(statistics, "MAX_GROUPS", 3)
    with pytest.raises(TooBroadError, match="too many extractors"):
        await repository.tally(NOW, NOW + timedelta(seconds=1))
    assert await repository.tally(NOW - timedelta(seconds=1), NOW) == {}


async def test_a_bounded_number_of_counts_is_kept(database, monkeypatch):
    monkeypatch.setattr(figure_book, "KEPT_BUCKETS", 70)
    repository = Watched(database)
    book = FigureBook(repository, patience_s=30)
    await book.read(Window.HOUR, NOW)
    await book.read(Window.DAY, NOW)
    repository.spans.clear()
    await book.read(Window.DAY, NOW)
    assert repository.spans == []
    await book.read(Window.HOUR, NOW)
    assert 30 <= len(repository.spans) <= 60


async def test_the_usual_duration_is_that_of_the_last_day_or_else_of_the_week(database, mongo_client, settings):
    def ended(job_id: str, extractor: str, ago: timedelta, took_s: float) -> JobState:
        at = NOW - ago
        began = at - timedelta(seconds=took_s)
        return a_job(job_id, Status.SUCCEEDED, extractor_id=extractor, updated_at=at, finished_at=at, started_at=began)

    store(
        mongo_client[settings.database],
        ended("a", "x", timedelta(hours=1), 10),
        ended("b", "x", timedelta(days=3), 1000),
        ended("c", "y", timedelta(days=3), 1000),
    )
    book = FigureBook(StatisticsRepository(database), patience_s=30)
    usual = await book.usual("x", NOW)
    assert usual is not None
    assert (usual.jobs, usual.window) == (1, Window.DAY)
    assert usual.p50_s == pytest.approx(10, rel=ERROR)
    usual = await book.usual("y", NOW)
    assert usual is not None
    assert (usual.jobs, usual.window) == (1, Window.WEEK)
    assert await book.usual("z", NOW) is None


def test_windows_are_cut_at_round_times():
    for window, since in (
        (Window.HOUR, datetime(2026, 11, 22, 6, 42, tzinfo=UTC)),
        (Window.DAY, datetime(2026, 11, 21, 8, 0, tzinfo=UTC)),
        (Window.WEEK, datetime(2026, 11, 15, 9, 0, tzinfo=UTC)),
    ):
        spans = window.spans(NOW)
        assert spans[0][0] == since
        assert spans[-1][0] <= NOW < spans[-1][1]
        assert all(before[1] == after[0] for before, after in pairwise(spans))

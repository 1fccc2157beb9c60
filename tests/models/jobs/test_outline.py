"""What is found of a long timeline without reading all of it."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from jobtrail.models.jobs.outline import MAX_ROUNDS, MAX_WHOLE, Outline, Point, first_positions, next_positions
from jobtrail.models.jobs.status import Status

START = datetime(2026, 11, 22, tzinfo=UTC)
MAX_READ = 1800


def job(count: int, *, seed: int, silences: dict[int, float], starts: set[int], late: set[int]) -> list[Point]:
    """A long job: steps of about a second, some of them silences, and some events that begin an attempt."""
    chance = random.Random(seed)
    at_s, attempt, points = 0.0, 1, []
    for position in range(1, count + 1):
        attempt += position in starts
        state = Status.STARTED if position == 1 or position in starts else Status.PROCESSING
        is_late = position in late and state is Status.PROCESSING and position > 1
        at = START + timedelta(seconds=at_s if not is_late else at_s - 50)
        points.append(Point(position=position, at=at, state=state, attempt=attempt, late=is_late))
        at_s += silences.get(position, chance.uniform(0.5, 1.5)) if not is_late else 0
    return points


def sampled(points: list[Point]) -> Outline:
    """Read as the store does."""
    count = len(points)
    outline = Outline.of(count, [points[position - 1] for position in first_positions(count)])
    for _ in range(MAX_ROUNDS):
        positions = next_positions(outline)
        known = {point.position for point in outline.points}
        assert not known & set(positions)
        known |= set(positions)
        outline = Outline.of(count, [points[position - 1] for position in sorted(known)])
    return outline


@given(st.integers(1, MAX_WHOLE))
def test_a_job_that_is_not_long_is_read_whole(count: int) -> None:
    assert list(first_positions(count)) == list(range(1, count + 1))


@given(st.integers(MAX_WHOLE + 1, 10**7))
def test_of_a_long_job_the_ends_and_about_a_thousand_events_between_are_read_first(count: int) -> None:
    positions = first_positions(count)

    assert len(positions) <= 1100
    assert (positions[0], positions[-1]) == (1, count)
    assert max(right - left for left, right in pairwise(positions)) <= count // 900 + 1


def test_silences_the_slowest_step_and_the_attempts_are_found_among_100_000_events() -> None:
    silences = {12_345: 900.0, 50_001: 4000.0, 77_777: 2500.0, 99_001: 700.0}
    starts = {30_000, 60_123, 60_125, 99_998}
    outline = sampled(job(100_000, seed=1, silences=silences, starts=starts, late={50_002, 50_003, 99_999, 100_000}))

    assert outline.slowest is not None
    assert (outline.slowest.first.position, outline.slowest.length_s) == (50_001, 4000)
    assert outline.complete
    begun = {
        stretch.following.position
        for stretch in outline.stretches
        if stretch.first.attempt != stretch.following.attempt and stretch.is_step
    }
    assert begun == starts
    assert len(outline.points) <= MAX_READ


@settings(max_examples=20, deadline=None)
@given(st.integers(MAX_WHOLE + 1, 30_000), st.randoms(use_true_random=False))
def test_the_longest_step_is_found_wherever_it_stands_out(count: int, chance: random.Random) -> None:
    slow = chance.randrange(1, count)
    starts = {chance.randrange(2, count) for _ in range(5)} - {slow + 1}
    late = {chance.randrange(2, count) for _ in range(20)} - {slow}
    outline = sampled(job(count, seed=count, silences={slow: 5000.0}, starts=starts, late=late))

    assert outline.slowest is not None
    assert (outline.slowest.first.position, outline.slowest.length_s) == (slow, 5000)
    assert outline.complete
    assert len(outline.points) <= MAX_READ


def test_where_no_step_stands_out_reading_ends_all_the_same_and_that_is_told() -> None:
    outline = sampled(job(100_000, seed=3, silences={}, starts=set(), late=set()))

    assert len(outline.points) <= MAX_READ
    assert not outline.complete
    assert not outline.whole


def test_thousands_of_attempts_and_of_late_events_do_not_make_it_read_more() -> None:
    restless = job(100_000, seed=4, silences={}, starts=set(range(2, 100_000, 3)), late=set())
    belated = job(100_000, seed=5, silences={}, starts=set(), late=set(range(10, 100_001)))

    for points in (restless, belated):
        assert len(sampled(points).points) <= MAX_READ


def test_clocks_that_go_back_make_no_step_shorter_than_nothing() -> None:
    points = [
        Point(position=number, at=START + timedelta(seconds=at_s), state=Status.PROCESSING, attempt=1, late=False)
        for number, at_s in enumerate((10, 5, 0, 7), 1)
    ]
    outline = Outline.of(4, points)

    assert [stretch.length_s for stretch in outline.stretches] == [0, 0, 7]
    assert outline.slowest is outline.stretches[2]


def test_an_outline_of_nothing_has_nothing() -> None:
    outline = Outline.of(MAX_WHOLE + 1, [])

    assert (outline.stretches, outline.slowest) == ([], None)
    assert next_positions(outline)

"""The shapes of a timeline, whatever the workers' clocks say."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobtrail.models.jobs.job import JobState, fold
from jobtrail.models.jobs.outline import Outline, Point
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.web.timeline.attempts import MAX_TOLD, attempts_of
from jobtrail.web.timeline.density import density
from jobtrail.web.timeline.layout import Kind, TimelineChart, TimelineRow, lay_out
from jobtrail.web.timeline.scale import (
    GREATEST_ZOOM,
    MIN_SQUEEZED,
    SQUEEZED_SHARE,
    WIDTH,
    brief_length,
    make_scale,
    offset_label,
    ticks,
)

START = datetime(2026, 11, 22, tzinfo=UTC)
NEARLY = 1e-6
HOUR, DAY, YEAR = 3600.0, 86400.0, 365 * 86400.0

Told = tuple[Status, float]
"""Status, and seconds after the beginning by the worker's clock."""


def folded(told: Sequence[Told]) -> tuple[JobState, list[Point]]:
    job: JobState | None = None
    points = []
    for state, at_s in told:
        at = START + timedelta(seconds=at_s)
        update = StatusUpdate(
            extractor_id="e", resource_id="r", job_id="j", status=state, state=state, message="", event_time=at
        )
        job, placement = fold(job, update, at)
        points.append(
            Point(position=placement.position, at=at, state=state, attempt=placement.attempt, late=placement.late)
        )
    assert job is not None
    return job, points


def drawn(told: Sequence[Told], now_s: float | None = None) -> TimelineChart:
    """Lay a job out; of one that has not ended `now_s` is the present."""
    job, points = folded(told)
    until = None if now_s is None else START + timedelta(seconds=now_s)
    chart = lay_out(Outline.of(len(points), points), submitted_at=job.submitted_at, until=until)
    assert chart is not None
    return chart


def shapes(lane: TimelineRow) -> list[tuple[str, float, float]]:
    """Kind, real beginning and real length of each of a lane's segments."""
    return [(segment.kind.value, segment.begins_s, segment.length_s) for segment in lane.segments]


moments = st.one_of(
    st.floats(0, 600, allow_nan=False), st.integers(0, 5).map(float), st.floats(-20 * YEAR, 20 * YEAR, allow_nan=False)
)
jobs = st.lists(st.tuples(st.sampled_from(Status), moments), min_size=1, max_size=60)
nows = st.one_of(st.none(), moments)


@given(jobs, nows)
@example([(Status.STARTED, 0.0)], None)
@example([(Status.STARTED, 5.0), (Status.SUBMITTED, 0.0)], 7.0)
@example([(Status.STARTED, 0.0), (Status.RESUBMITTED, 0.0)] * 30, None)
@example([(Status.STARTED, 0.0), (Status.PROCESSING, 20 * YEAR), (Status.PROCESSING, -20 * YEAR)], None)
def test_all_shapes_lie_within_bounds_and_in_order_whatever_the_clocks_say(
    told: list[Told], now_s: float | None
) -> None:
    chart = drawn(told, now_s)

    assert list(chart.places) == sorted(chart.places)
    assert all(0 <= place <= WIDTH for place in chart.places)
    for lane in chart.lanes:
        assert all(0 <= mark.x <= WIDTH for mark in lane.marks)
        assert all(segment.width >= 0 and segment.length_s >= 0 for segment in lane.segments)
        edges = [edge for segment in lane.segments for edge in (segment.x, segment.x + segment.width)]
        assert all(right >= left - NEARLY for left, right in pairwise(edges))
        assert all(-NEARLY <= edge <= WIDTH + NEARLY for edge in edges)
    attempts = [lane for lane in chart.lanes if lane.attempt and lane.segments]
    for before, after in pairwise(attempts):
        assert before.segments[-1].x + before.segments[-1].width <= after.segments[0].x + NEARLY


@given(jobs, nows)
def test_every_event_is_in_one_column_of_the_density_strip(told: list[Told], now_s: float | None) -> None:
    columns = density(drawn(told, now_s), len(told))

    assert sum(column.events for column in columns) == len(told)
    assert [column.position for column in columns] == sorted({column.position for column in columns})
    assert max(column.share for column in columns) == 1


durations = st.one_of(st.floats(0, 100), st.floats(60, HOUR), st.floats(DAY, 50 * YEAR)).map(
    lambda seconds: round(seconds, 3)
)


@st.composite
def silences(draw: st.DrawFn) -> tuple[float, list[tuple[float, float]]]:
    at_s, found = 0.0, []
    for _ in range(draw(st.integers(0, 12))):
        at_s += draw(durations)
        begins_s = at_s
        at_s += draw(durations)
        found.append((begins_s, at_s))
    return at_s + draw(st.sampled_from([0.0, 0.0, 1.0, HOUR])), found


@given(silences(), st.lists(st.floats(-0.1, 1.1), min_size=2, max_size=20))
def test_a_scale_never_goes_back_and_squeezes_long_silences_only(
    silent: tuple[float, list[tuple[float, float]]], shares: list[float]
) -> None:
    total_s, found = silent
    scale = make_scale(total_s, found)

    places = [scale.x(share * total_s) for share in sorted(shares)]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] <= WIDTH
    assert (scale.x(-1), scale.x(total_s * 2 + 2)) == (0, pytest.approx(WIDTH))

    for left, right in pairwise(scale.pieces):
        assert right.x == pytest.approx(left.x + left.width)
        assert right.begins_s == pytest.approx(left.ends_s)
    squeezed = [piece for piece in scale.pieces if piece.squeezed]
    assert all(piece.width >= MIN_SQUEEZED - NEARLY for piece in squeezed)
    for piece in squeezed:
        # Its real length can be told.
        assert any((piece.begins_s, piece.length_s) == (begin, end - begin) for begin, end in found)
        assert piece.length_s >= max(60, SQUEEZED_SHARE * total_s)
    rest = [piece for piece in scale.pieces if not piece.squeezed]
    assert rest
    for piece in rest:
        assert piece.width <= piece.length_s / scale.total_s * WIDTH * GREATEST_ZOOM * (1 + NEARLY) + NEARLY


@given(silences(), st.floats(0, 1))
def test_a_place_leads_back_to_its_moment(silent: tuple[float, list[tuple[float, float]]], share: float) -> None:
    total_s, found = silent
    scale = make_scale(total_s, found)
    at_s = share * scale.total_s

    assert scale.moment_s(scale.x(at_s)) == pytest.approx(at_s, rel=1e-6, abs=scale.total_s * 1e-6)


@given(silences())
def test_ticks_keep_apart_and_name_both_ends(silent: tuple[float, list[tuple[float, float]]]) -> None:
    total_s, found = silent
    marked = ticks(make_scale(total_s, found))

    assert (marked[0].at, marked[-1].at) == (0, WIDTH)
    assert all(right.at - left.at >= 60 for left, right in pairwise(marked))
    assert len({tick.text for tick in marked}) == len(marked)
    major = [tick.at for tick in marked if tick.major]
    assert all(right - left >= 200 for left, right in pairwise(major))


@pytest.mark.parametrize(
    ("at_s", "step_s", "label"),
    [
        (0.25, 0.05, "0.25 s"),
        (0.003, 0.001, "0.003 s"),
        (30, 5, "30 s"),
        (90, 30, "1:30"),
        (60.25, 0.05, "1:00.25"),
        (3 * DAY + 5, 5, "3 d 00:00:05"),
        (7510, 10, "2:05:10"),
        (900, 300, "15 min"),
        (7200, 3600, "2 h"),
        (9000, 1800, "2:30 h"),
        (3 * DAY + 4 * HOUR, HOUR, "3 d 04:00"),
        (400 * DAY, 90 * DAY, "400 d"),
    ],
)
def test_times_on_the_axis_are_as_short_as_their_steps_allow(at_s: float, step_s: float, label: str) -> None:
    assert offset_label(at_s, step_s) == label


RETRIED = [
    (Status.SUBMITTED, 0.0),
    (Status.STARTED, 60.0),
    (Status.PROCESSING, 61.0),
    (Status.RESUBMITTED, 81.0),
    (Status.STARTED, 200.0),
    (Status.SUCCEEDED, 205.0),
    (Status.PROCESSING, 204.0),
]


def test_the_queue_and_each_attempt_have_a_lane_with_their_steps_and_ends() -> None:
    chart = drawn(RETRIED)

    queue, first, second = chart.lanes
    assert shapes(queue) == [("queue", 0, 60), ("queue", 81, 119)]
    assert shapes(first) == [("work", 60, 1), ("work", 61, 20)]
    assert shapes(second) == [("work", 200, 5)]
    assert [(mark.state, mark.late) for mark in first.marks] == [(Status.RESUBMITTED, False)]
    assert [(mark.state, mark.late) for mark in second.marks] == [(Status.SUCCEEDED, False), (Status.PROCESSING, True)]
    assert chart.slowest is not None
    assert (chart.slowest.first.position, chart.slowest.length_s) == (3, 20)
    assert [(segment.position, segment.slowest) for segment in first.segments] == [(2, False), (3, True)]


def test_long_silences_are_squeezed_and_tell_their_length() -> None:
    chart = drawn(RETRIED)

    assert [squeeze.length_s for squeeze in chart.squeezes] == [60, 119]
    assert [squeeze.width for squeeze in chart.squeezes] == [MIN_SQUEEZED, MIN_SQUEEZED]
    # The rest is to scale: a second is everywhere as wide.
    wide = [segment.width / segment.length_s for lane in chart.lanes[1:] for segment in lane.segments]
    assert wide == [pytest.approx((WIDTH - 2 * MIN_SQUEEZED) / 26)] * 3


def test_lengths_are_short_where_there_is_little_room_and_never_cut_off() -> None:
    told = {0.4: "0 s", 59: "59 s", 60: "1 min", 119: "2 min", 6960: "1.9 h", 10 * HOUR: "10 h", 40 * DAY: "40 d"}
    assert {seconds: brief_length(seconds) for seconds in told} == told


def test_a_step_that_would_be_shown_as_nothing_is_not_the_slowest() -> None:
    for length_s, slowest_s in ((0.004, None), (0.02, 0.02)):
        steps = [(Status.STARTED, 0.0), (Status.PROCESSING, length_s), (Status.ERROR, length_s)]
        slowest = drawn(steps).slowest
        assert (slowest and slowest.length_s) == slowest_s


def test_a_silence_that_is_all_there_is_is_not_squeezed() -> None:
    chart = drawn([(Status.STARTED, 0.0), (Status.SUCCEEDED, HOUR)])

    assert chart.squeezes == []
    assert [segment.width for segment in chart.lanes[0].segments] == [WIDTH]


def test_a_moment_beside_a_long_silence_does_not_pass_for_the_whole() -> None:
    chart = drawn([(Status.SUBMITTED, 0.0), (Status.STARTED, 2.0), (Status.SUCCEEDED, 602.0)])

    queue, work = chart.lanes
    assert queue.segments[0].width == pytest.approx(2 / 602 * WIDTH * GREATEST_ZOOM)
    assert work.segments[0].width > 900
    assert [squeeze.length_s for squeeze in chart.squeezes] == [600]


def test_a_worker_that_falls_silent_is_lost_until_the_next_attempt_and_not_slow() -> None:
    told = [(Status.STARTED, 0.0), (Status.PROCESSING, 5.0), (Status.STARTED, 500.0), (Status.SUCCEEDED, 507.0)]
    chart = drawn(told)

    first, second = chart.lanes
    assert shapes(first) == [("work", 0, 5), ("lost", 5, 495)]
    assert first.attempt is not None
    assert (first.attempt.outcome, first.attempt.going_on, first.attempt.told_s) == (None, False, 5)
    assert chart.slowest is not None
    assert chart.slowest.length_s == 7
    assert shapes(second) == [("work", 500, 7)]


def test_the_step_that_goes_on_is_drawn_until_now_and_may_be_the_slowest() -> None:
    told = [(Status.STARTED, 0.0), (Status.PROCESSING, 5.0)]

    for now_s, slowest_s in ((8.0, None), (50.0, 45.0)):
        chart = drawn(told, now_s)
        assert chart.lanes[0].segments[-1].open
        assert chart.length_s == now_s
        assert (chart.slowest and chart.slowest.length_s) == slowest_s
    assert drawn(told, 3.0).length_s == 5  # our clock is behind the worker's


def test_the_time_in_the_queue_shows_though_the_worker_was_faster_than_the_submitters_word() -> None:
    chart = drawn([(Status.STARTED, 3.0), (Status.SUBMITTED, 0.0), (Status.SUCCEEDED, 5.0)])

    queue, work = chart.lanes
    assert shapes(queue) == [("queue", 0, 3)]
    assert shapes(work) == [("work", 3, 2)]
    assert [mark.late for mark in queue.marks] == [True]


def test_a_job_cancelled_in_the_queue_after_an_attempt_ends_there() -> None:
    told = [(Status.STARTED, 0.0), (Status.RESUBMITTED, 4.0), (Status.CANCELLED, 10.0)]
    queue, attempt = drawn(told).lanes

    assert [mark.state for mark in queue.marks] == [Status.CANCELLED]
    assert attempt.attempt is not None
    assert (attempt.attempt.outcome, attempt.attempt.told_s) == (Status.RESUBMITTED, 4)


def test_steps_too_short_to_be_seen_are_drawn_together() -> None:
    told = [(Status.STARTED, 0.0), *((Status.PROCESSING, 0.001 * step) for step in range(5000)), (Status.ERROR, 50.0)]
    (lane,) = drawn(told).lanes

    assert len(lane.segments) < 260
    assert sum(segment.events for segment in lane.segments) == len(told) - 1
    assert lane.segments[-1].slowest


def test_of_many_attempts_those_in_the_middle_share_a_lane() -> None:
    told = [each for number in range(50) for each in ((Status.STARTED, number * 2.0), (Status.ERROR, number * 2.0 + 1))]
    attempts = attempts_of(folded(told)[1])

    assert len(attempts) == MAX_TOLD
    numbers = [(attempt.first, attempt.last) for attempt in attempts]
    assert numbers[:5] == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 43)]
    assert numbers[5:] == [(number, number) for number in range(44, 51)]
    lanes = drawn(told).lanes
    assert sum(len(lane.segments) for lane in lanes if lane.attempt) == 50
    assert [segment.kind for lane in lanes for segment in lane.segments] == [Kind.WORK] * 50


def test_without_events_there_is_no_timeline() -> None:
    assert lay_out(Outline.of(5, []), submitted_at=START, until=None) is None

"""The geometry of charts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from jobtrail.models.durations import Durations
from jobtrail.models.jobs.status import Status
from jobtrail.operations.figures import Bucket, Figures, Window
from jobtrail.store.jobs.statistics import StatusCount, added
from jobtrail.web.charts.axes import count_scale, duration_scale, duration_text, time_ticks
from jobtrail.web.charts.jobs import duration_chart, outcome_chart, sparkline
from jobtrail.web.charts.shapes import HEIGHT, SPARK_HEIGHT, WIDTH, Chart

NOW = datetime(2026, 11, 22, 7, 41, 30, tzinfo=UTC)
ENDS = [status for status in Status if status.is_end]

counts = st.integers(0, 3) | st.integers(0, 10**7)
tallies = st.builds(
    StatusCount,
    ended=st.dictionaries(st.sampled_from(ENDS), counts),
    durations=st.builds(Durations, st.dictionaries(st.integers(0, 220), st.integers(1, 10**6), max_size=5)),
)


@st.composite
def some_figures(draw: st.DrawFn) -> Figures:
    window = draw(st.sampled_from(Window))
    spans = window.spans(NOW)
    some = draw(st.lists(st.none() | tallies, min_size=1, max_size=6))
    tallied = [some[place % len(some)] for place in range(len(spans))]
    return figures_of(window, tallied)


def figures_of(window: Window, tallied: list[StatusCount | None]) -> Figures:
    spans = window.spans(NOW)
    return Figures(
        window=window,
        buckets=[
            Bucket(since=since, until=until, tally=tally) for (since, until), tally in zip(spans, tallied, strict=True)
        ],
        total=added(tally for tally in tallied if tally),
        counted_s=3600,
    )


def segments_stand_on_each_other(chart: Chart) -> None:
    for column in chart.columns:
        bottom = HEIGHT
        for segment in column.segments:
            assert abs(segment.y + segment.height - bottom) < 0.1
            assert segment.y >= 0
            assert segment.height >= 1.9
            bottom = segment.y
        assert column.room_x <= column.x
        assert column.x + column.width <= column.room_x + column.room_width + 0.1 <= WIDTH + 0.2


@settings(max_examples=25, deadline=None)
@given(some_figures())
def test_columns_show_the_counts_in_their_proportions(figures):
    chart = outcome_chart(figures)
    segments_stand_on_each_other(chart)
    top = float(chart.y_ticks[-1].text.replace(",", ""))
    assert (chart.y_ticks[0].at, chart.y_ticks[-1].at) == (HEIGHT, 0)
    for column, bucket in zip(chart.columns, figures.buckets, strict=True):
        ended = sum(bucket.tally.ended.values()) if bucket.tally else 0
        drawn = sum(segment.height for segment in column.segments)
        # What is there at all is seen, so a column may be a few pixels too high, and no more.
        assert -0.1 <= drawn - ended / top * HEIGHT <= 6.1
        assert bool(column.segments) == bool(ended) == bool(column.href)
        assert column.counted == (bucket.tally is not None)
    assert chart.is_empty == (not figures.ended)


@settings(max_examples=25, deadline=None)
@given(some_figures())
def test_columns_of_durations_end_where_95_percent_were_done(figures):
    chart = duration_chart(figures, "an extractor")
    segments_stand_on_each_other(chart)
    longest = max((bucket.tally and bucket.tally.durations.within_s(0.95)) or 0 for bucket in figures.buckets)
    top = 0.0
    for column, bucket in zip(chart.columns, figures.buckets, strict=True):
        p95 = (bucket.tally and bucket.tally.durations.within_s(0.95)) or 0
        drawn = sum(segment.height for segment in column.segments)
        top = max(top, drawn)
        assert bool(drawn) == bool(p95)
        if p95 == longest and longest:
            assert HEIGHT / 3 <= drawn <= HEIGHT
    assert top <= HEIGHT


@settings(max_examples=25, deadline=None)
@given(some_figures())
def test_a_sparkline_stays_in_its_box(figures):
    drawn = sparkline(figures)
    for tone, path in drawn.paths:
        assert tone in {"good", "quiet", "bad"}
        for part in path.removesuffix("z").split("z"):
            x, rest = part[1:].split(" ")
            y, width, height, back = rest.replace("h-", " ").replace("h", " ").replace("v", " ").split(" ")
            assert float(y) >= 0
            assert float(y) + float(height) <= SPARK_HEIGHT + 0.1
            assert float(x) + float(width) <= drawn.width == len(figures.buckets)
            assert width == back


def test_failures_are_told_in_words_and_lead_to_their_jobs():
    tallied: list[StatusCount | None] = [StatusCount()] * 60
    tallied[40] = StatusCount(ended={Status.SUCCEEDED: 5, Status.ERROR: 1}, durations=Durations({85: 6}))
    tallied[0] = None
    figures = figures_of(Window.HOUR, tallied)
    column = outcome_chart(figures, "a&b").columns[40]
    assert column.title == "07:22 to 07:23 UTC: 5 succeeded, 1 failed"
    assert column.href is not None
    assert column.href.startswith("/jobs?extractor=a%26b&status=SUCCEEDED&status=ERROR&")
    assert column.href.endswith("since=2026-11-22T07%3A22%3A00.000Z&until=2026-11-22T07%3A23%3A00.000Z")
    assert outcome_chart(figures).columns[0].title.endswith(": not counted yet")
    assert outcome_chart(figures).description == "5 succeeded, 1 failed, 0 skipped or cancelled"
    assert duration_chart(figures).columns[40].title.endswith(": median 3.46 s, p95 3.46 s, 6 jobs")
    assert sparkline(figures).label == "6 jobs finished in the last hour"


@given(st.integers(0, 10**12))
def test_an_axis_of_counts_has_few_round_whole_marks(most):
    scale = count_scale(most)
    assert scale[0] == 0
    assert scale[-1] >= most
    assert 2 <= len(scale) <= 5
    assert all(mark == int(mark) for mark in scale)
    assert scale[-2] < max(most, 1)


@given(st.floats(0, 10**9))
def test_an_axis_of_durations_has_few_marks_that_people_use(most_s):
    scale = duration_scale(most_s)
    assert scale[0] == 0
    assert scale[-1] >= most_s * 0.999
    assert 2 <= len(scale) <= 5
    texts = [duration_text(mark, scale[1]) for mark in scale]
    assert len(set(texts)) == len(texts)
    assert all(len(text) <= len("120 min") for text in texts) or most_s > 10**7


def test_durations_on_an_axis_are_written_in_one_unit():
    assert [duration_text(mark, 30) for mark in duration_scale(100)] == ["0", "30 s", "60 s", "90 s", "120 s"]
    assert [duration_text(mark, 0.2) for mark in duration_scale(0.5)] == ["0", "0.2 s", "0.4 s", "0.6 s"]
    assert [duration_text(mark, 0.5) for mark in duration_scale(2)] == ["0", "0.5 s", "1 s", "1.5 s", "2 s"]
    assert [duration_text(mark, 0.05) for mark in duration_scale(0.1)] == ["0", "50 ms", "100 ms"]


def test_marks_of_time_are_round_times_inside_the_axis():
    hour = Window.HOUR.spans(NOW)
    ticks = time_ticks(hour[0][0], hour[-1][1], timedelta(minutes=10))
    assert [tick.text for tick in ticks] == ["06:50", "07:00", "07:10", "07:20", "07:30", "07:40"]
    assert ticks[0].at == 13.33
    week = Window.WEEK.spans(NOW)
    ticks = time_ticks(week[0][0], week[-1][1], timedelta(days=1))
    assert [tick.text for tick in ticks] == ["16 Nov", "17 Nov", "18 Nov", "19 Nov", "20 Nov", "21 Nov", "22 Nov"]
    day = Window.DAY.spans(NOW)
    ticks = time_ticks(day[0][0], day[-1][1], timedelta(hours=4))
    assert [tick.text for tick in ticks] == ["08:00", "12:00", "16:00", "20:00", "22 Nov", "04:00", "08:00"]
    assert all(0 <= tick.at <= 100 for tick in ticks)
    assert week[-1][1] - week[0][0] == timedelta(days=7)

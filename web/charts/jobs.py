"""Charts of finished jobs: how many, and how long they took. Pure."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, timedelta
from functools import partial

from jobtrail.models.jobs.status import END_WORDS, ENDS, Status
from jobtrail.models.times import duration, rfc3339
from jobtrail.operations.figures import Bucket, Figures, Window
from jobtrail.web.charts.axes import Tick, count_scale, duration_scale, duration_text, time_ticks
from jobtrail.web.charts.shapes import Chart, Column, Key, Segment, Sparkline, column, count_text, spark, stack, y_ticks
from jobtrail.web.render import query

_TICK_EVERY = {Window.HOUR: timedelta(minutes=10), Window.DAY: timedelta(hours=4), Window.WEEK: timedelta(days=1)}
_OUTCOME_TONES = ("good", "quiet", "bad")
_QUIET = (Status.SKIPPED, Status.CANCELLED)


def outcome_chart(figures: Figures, extractor: str | None = None) -> Chart:
    """Draw how many jobs ended, by outcome."""
    counts = [_counts(bucket) for bucket in figures.buckets]
    scale = count_scale(max(map(sum, counts)))
    good, quiet, bad = map(sum, zip(*counts, strict=True))
    keys = [
        Key(tone="good", name="succeeded", value=f"{good:,}"),
        Key(tone="bad", name="failed", value=f"{bad:,}"),
        Key(tone="quiet", name="skipped or cancelled", value=f"{quiet:,}"),
    ]
    stacks = [stack(each, _OUTCOME_TONES, scale[-1]) for each in counts]
    return Chart(
        label=f"Finished jobs in {figures.window.words}",
        description=", ".join(f"{key.value} {key.name}" for key in keys),
        columns=_columns(figures, stacks, _outcome_words, extractor),
        x_ticks=_time_ticks(figures),
        y_ticks=y_ticks(scale, count_text),
        keys=keys,
        is_empty=not figures.ended,
    )


def duration_chart(figures: Figures, extractor: str | None = None) -> Chart:
    """Draw how long jobs took: the median, and on top of it the 95th percentile."""
    pairs = [_p50_p95(bucket) for bucket in figures.buckets]
    is_empty = figures.p50_s is None
    # An empty chart has no marks between the two ends, where the words stand that say so.
    scale = (0, 1) if is_empty else duration_scale(max(p95 for _, p95 in pairs))
    keys = [
        Key(tone="run", name="median", value=_duration(figures.p50_s)),
        Key(tone="run-soft", name="p95", value=_duration(figures.p95_s)),
    ]
    stacks = [stack((p50, p95 - p50), ("run", "run-soft"), scale[-1]) for p50, p95 in pairs]
    return Chart(
        label=f"Job durations in {figures.window.words}",
        description=", ".join(f"{key.name} {key.value}" for key in keys),
        columns=_columns(figures, stacks, _duration_words, extractor),
        x_ticks=_time_ticks(figures),
        y_ticks=y_ticks(scale, partial(duration_text, step_s=scale[1])),
        keys=keys,
        is_empty=is_empty,
    )


def sparkline(figures: Figures) -> Sparkline:
    """Draw how many jobs ended, small."""
    label = f"{figures.ended:,} {'job' if figures.ended == 1 else 'jobs'} finished in {figures.window.words}"
    return spark(label, [_counts(bucket) for bucket in figures.buckets], _OUTCOME_TONES)


def _columns(
    figures: Figures, stacks: Iterable[Sequence[Segment]], words: Callable[[Bucket], str], extractor: str | None
) -> Sequence[Column]:
    return [
        column(
            place,
            len(figures.buckets),
            segments,
            title=f"{_span_words(bucket, figures.window)}: {words(bucket) if bucket.tally else 'not counted yet'}",
            href=_jobs_of(bucket, extractor),
            counted=bucket.tally is not None,
        )
        for place, (bucket, segments) in enumerate(zip(figures.buckets, stacks, strict=True))
    ]


def _counts(bucket: Bucket) -> tuple[int, int, int]:
    ended = bucket.tally.ended if bucket.tally else {}
    quiet = sum(ended.get(status, 0) for status in _QUIET)
    return ended.get(Status.SUCCEEDED, 0), quiet, ended.get(Status.ERROR, 0)


def _p50_p95(bucket: Bucket) -> tuple[float, float]:
    if bucket.tally is None:
        return 0.0, 0.0
    return bucket.tally.durations.within_s(0.5) or 0.0, bucket.tally.durations.within_s(0.95) or 0.0


def _outcome_words(bucket: Bucket) -> str:
    ended = bucket.tally.ended if bucket.tally else {}
    return ", ".join(f"{ended[status]:,} {name}" for status, name in END_WORDS.items() if ended.get(status)) or "none"


def _duration_words(bucket: Bucket) -> str:
    jobs = bucket.tally.durations.count if bucket.tally else 0
    p50_s, p95_s = _p50_p95(bucket)
    words = f"median {duration(p50_s)}, p95 {duration(p95_s)}, {jobs:,} {'job' if jobs == 1 else 'jobs'}"
    return words if jobs else "none"


def _span_words(bucket: Bucket, window: Window) -> str:
    since, until = bucket.since.astimezone(UTC), bucket.until.astimezone(UTC)
    day = "" if window is Window.HOUR else f"{since.day} {since:%b} "
    return f"{day}{since:%H:%M} to {until:%H:%M} UTC"


def _jobs_of(bucket: Bucket, extractor: str | None) -> str:
    since, until = rfc3339(bucket.since), rfc3339(bucket.until)
    return f"/jobs{query(extractor=extractor, status=ENDS, since=since, until=until)}"


def _time_ticks(figures: Figures) -> Sequence[Tick]:
    return time_ticks(figures.buckets[0].since, figures.buckets[-1].until, _TICK_EVERY[figures.window])


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)

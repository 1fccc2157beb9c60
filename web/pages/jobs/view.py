"""What the page of a job shows, read and put together."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from jobtrail.heartbeat.liveness import Stall
from jobtrail.models.heartbeat import InstanceRecord
from jobtrail.models.jobs.job import Gap, JobState
from jobtrail.models.jobs.outline import Outline
from jobtrail.models.jobs.status import Status, status_of_word
from jobtrail.models.jobs.timeline import gap_words
from jobtrail.models.jobs.wire import MAX_ID_LENGTH
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.events import EventLine, EventLines, LinePage
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.jobs.outline import OutlineRepository
from jobtrail.store.jobs.query import EventFilter
from jobtrail.web.paths import address
from jobtrail.web.render import query
from jobtrail.web.timeline.density import DensityColumn, density
from jobtrail.web.timeline.layout import Kind, TimelineChart, lay_out
from jobtrail.web.timeline.words import Words, printable, telling_line, words

_MAX_POSITIONS = 10**9
_LINES_BEFORE_TARGET = 20
_SLOWEST_LETTERS = 120
_ERROR_LETTERS = 20_000
_ERROR_AT_ONCE = 1500
_ERROR_LINES_AT_ONCE = 14

_Position = Annotated[int, Field(ge=0, le=_MAX_POSITIONS)]


class PageQuery(BaseModel):
    """What stands in the address: which events are asked for, and what became of an act."""

    after: _Position | None = None
    before: _Position | None = None
    status: str = ""
    q: Annotated[str, StringConstraints(max_length=200)] = ""
    outcome: str = ""
    """A word of `web.pages.jobs.acts.OUTCOMES`."""
    new: Annotated[str, StringConstraints(max_length=MAX_ID_LENGTH)] = ""
    """The job that the act made."""

    @property
    def state(self) -> Status | None:
        """The status that is asked for; None for any."""
        return status_of_word(self.status)

    @property
    def is_filtered(self) -> bool:
        """Whether events are left out."""
        return self.state is not None or bool(self.q)

    def wanted(self) -> EventFilter:
        """Return which events are asked for; a NUL that was pasted along is in none of them."""
        return EventFilter(statuses=(self.state,) if self.state else (), text=self.q.replace("\0", ""))


@dataclass(slots=True, frozen=True, kw_only=True)
class Row:
    """One event with what stands around it."""

    line: EventLine
    words: Words
    offset_s: float
    """Seconds after the beginning."""
    share: float
    """Its step's length, of the longest one shown; 0 without a length."""
    opens_attempt: bool
    """It is the first one shown of its attempt."""
    continues: bool
    """The attempt began on an earlier page."""
    missing: str
    """Which updates are missing before it, in words; empty for none."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ErrorText:
    """What went wrong."""

    headline: str
    words: Words
    tells_more: bool
    """The text says more than its headline."""


@dataclass(slots=True, frozen=True, kw_only=True)
class PageWindow:
    """The part of the timeline that the events shown are from."""

    x: float
    width: float


@dataclass(slots=True, frozen=True, kw_only=True)
class JobView:
    """All that the page shows."""

    job: JobState
    path: str
    """The page's address."""
    stall: Stall | None
    instance: InstanceRecord | None
    """Where the latest attempt runs or ran."""
    error: ErrorText | None
    queue_s: float | None
    """Seconds from the submission to the first start, or until now."""
    until: datetime | None
    """The present, for a job that has not ended."""
    outline: Outline
    chart: TimelineChart | None
    columns: Sequence[DensityColumn]
    slowest: EventLine | None
    """The event that begins the slowest step."""
    slowest_share: float | None
    """Of the run."""
    asked: PageQuery
    page: LinePage
    rows: Sequence[Row]
    window: PageWindow | None
    """None where all events are shown."""

    @property
    def missing(self) -> str:
        """Which updates have not arrived, in words; empty for none."""
        gaps = [gap for found in self.job.missing.values() for gap in found]
        return gap_words(gaps) if gaps else ""

    @property
    def waited_s(self) -> float:
        """Seconds in the queue, in all."""
        return self._length_s(Kind.QUEUE)

    @property
    def knows_slowest(self) -> bool:
        """Whether no step that was not read can be longer than the slowest one."""
        return self.outline.complete or (self.chart is not None and self.chart.slowest is self.chart.spans[-1])

    @property
    def waits_again(self) -> bool:
        """Whether it came back into the queue."""
        return self.queue_s is not None and self.waited_s > self.queue_s + 1

    @property
    def worked_s(self) -> float:
        """Seconds in the hands of workers, in all."""
        return self._length_s(Kind.WORK)

    @property
    def late(self) -> bool:
        """Whether the timeline shows late events."""
        return any(point.late for point in self.outline.points)

    @property
    def live(self) -> str:
        """Where the page hears of changes."""
        return f"/live{query(topic=f'job:{self.job.job_id}')}"

    def href(self, **changed: object) -> str:
        """Make the address of another page of the events, `after` or `before` a position, else the latest one."""
        return f"{self.path}{query(status=self.asked.status, q=self.asked.q, **changed)}#events"

    def to_event(self, position: int) -> str:
        """Make the address of an event: on this page where it is shown, else on one around it."""
        if not self.asked.is_filtered and self.page.first <= position <= self.page.last:
            return f"#e-{position}"
        return f"{self.path}?after={max(0, position - _LINES_BEFORE_TARGET)}#e-{position}"

    def around(self, position: int) -> str:
        """Make the address of the events that begin with one."""
        return f"{self.path}?after={position - 1}#events"

    @property
    def slowest_words(self) -> str:
        """What the worker said when the slowest step began."""
        if self.slowest is None:
            return ""
        cut = "…" if self.slowest.message_length > _SLOWEST_LETTERS else ""
        return printable(self.slowest.message[:_SLOWEST_LETTERS]) + cut

    def _length_s(self, kind: Kind) -> float:
        spans = self.chart.spans if self.chart else ()
        return sum(span.ends_s - span.begins_s for span in spans if span.kind is kind)


class JobReader:
    """Reads all that the page shows."""

    def __init__(self, jobs: JobRepository, outlines: OutlineRepository, lines: EventLines) -> None:
        self._jobs = jobs
        self._outlines = outlines
        self._lines = lines

    async def read(self, job_id: str, asked: PageQuery, detector: StallDetector) -> JobView:
        """Read one job."""
        job = await self._jobs.get(job_id)
        outline, page, stall, instance = await asyncio.gather(
            self._outlines.read(job),
            self._lines.page(job, asked.wanted(), after=asked.after, before=asked.before),
            detector.stall(job),
            _instance(job, detector),
        )
        until = None if job.status.is_end else detector.now
        chart = lay_out(outline, submitted_at=job.submitted_at, until=until)
        begins_at = chart.begins_at if chart else job.updated_at
        return JobView(
            job=job,
            path=address("jobs", job.job_id),
            stall=stall,
            instance=instance,
            error=_error(job),
            queue_s=_queue_s(job, detector.now),
            until=until,
            outline=outline,
            chart=chart,
            columns=density(chart, job.event_count) if chart else (),
            slowest=await self._slowest(job, chart, page),
            slowest_share=_share(chart, job, detector.now),
            asked=asked,
            page=page,
            rows=list(_rows(job, page.lines, begins_at)),
            window=_window(chart, job, page),
        )

    async def _slowest(self, job: JobState, chart: TimelineChart | None, page: LinePage) -> EventLine | None:
        """Find what the worker said when the slowest step began."""
        if chart is None or chart.slowest is None:
            return None
        position = chart.slowest.first.position
        shown = (line for line in page.lines if line.position == position)
        return next(shown, None) or await self._lines.line(job.job_id, position)


async def _instance(job: JobState, detector: StallDetector) -> InstanceRecord | None:
    if job.instance_id is None:
        return None
    return next(
        (each for each in await detector.instances(job.extractor_id) if each.instance_id == job.instance_id), None
    )


def _error(job: JobState) -> ErrorText | None:
    if job.status is not Status.ERROR:
        return None
    shown = words(
        job.message[:_ERROR_LETTERS],
        len(job.message),
        most_at_once=_ERROR_AT_ONCE,
        most_lines=_ERROR_LINES_AT_ONCE,
    )
    headline = telling_line(job.message)
    return ErrorText(headline=headline, words=shown, tells_more=shown.text.strip() != headline)


def _queue_s(job: JobState, now: datetime) -> float | None:
    if job.submitted_at is None:
        return None
    taken_at = job.started_at or job.finished_at or now
    return max(0.0, (taken_at - job.submitted_at).total_seconds())


def _share(chart: TimelineChart | None, job: JobState, now: datetime) -> float | None:
    if chart is None or chart.slowest is None or job.started_at is None:
        return None
    run_s = ((job.finished_at or now) - job.started_at).total_seconds()
    return min(1.0, chart.slowest.length_s / run_s) if run_s > 0 else None


def _rows(job: JobState, lines: Sequence[EventLine], begins_at: datetime) -> Iterator[Row]:
    gaps: Mapping[tuple[str, int], Gap] = {
        (producer, gap[1]): gap for producer, found in job.missing.items() for gap in found
    }
    longest_s = max((line.length_s or 0.0 for line in lines), default=0.0)
    attempt: int | None = None
    for line in lines:
        gap = gaps.get((line.producer_id or "", (line.sequence or 0) - 1))
        yield Row(
            line=line,
            words=words(line.message, line.message_length),
            offset_s=(line.at - begins_at).total_seconds(),
            share=(line.length_s or 0.0) / longest_s if longest_s else 0.0,
            opens_attempt=line.attempt != attempt and line.attempt > 0,
            continues=line is lines[0] and line.position > 1 and line.state is not Status.STARTED,
            missing=gap_words([gap]) if gap else "",
        )
        attempt = line.attempt


def _window(chart: TimelineChart | None, job: JobState, page: LinePage) -> PageWindow | None:
    if chart is None or not page.lines or (page.first == 1 and page.last == job.event_count):
        return None
    offsets_s = [(line.at - chart.begins_at).total_seconds() for line in page.lines]
    x = chart.scale.x(min(offsets_s))
    return PageWindow(x=x, width=chart.scale.x(max(offsets_s)) - x)

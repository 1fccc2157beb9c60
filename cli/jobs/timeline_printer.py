"""One job's timeline for people."""

from dataclasses import dataclass
from datetime import datetime

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from jobtrail.cli.output.formats import one_line, printable
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, sign_of, status_text, style_of
from jobtrail.heartbeat.liveness import Stall
from jobtrail.models.heartbeat import InstanceRecord
from jobtrail.models.jobs.job import Gap, JobState
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.timeline import SILENCE_S, Step, gap_words, is_late
from jobtrail.models.times import clock, duration, relative

_OFFSET_WIDTH = 11
_STEP_WIDTH = 11
_STATE_WIDTH = 13
_MIN_MESSAGE_WIDTH = 20
_MAX_ERROR_LINES = 40
_LETTER_SHOWN = 100
"""From this width on, the dead letter that an update was is shown."""


@dataclass(slots=True, frozen=True, kw_only=True)
class JobFacts:
    """A job and what else is known of it."""

    job: JobState
    stall: Stall | None
    instance: InstanceRecord | None
    """Where the current attempt runs or ran."""
    now: datetime


def print_head(console: Console, facts: JobFacts) -> None:
    """Print what is known of the job as a whole."""
    job = facts.job
    console.print(Text.assemble(("Job ", "bold"), (one_line(job.job_id), "bold")), soft_wrap=True)
    console.print(status_text(job.status, stalled=facts.stall is not None))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _facts(facts):
        grid.add_row(f"  {name}", value)
    console.print(grid)
    console.print()


def _facts(facts: JobFacts) -> list[tuple[str, str | Text]]:
    job, now = facts.job, facts.now
    rows: list[tuple[str, str | Text]] = [
        ("extractor", one_line(job.extractor_id)),
        ("resource", one_line(job.resource_id)),
    ]
    if job.user_id:
        rows.append(("user", one_line(job.user_id)))
    if facts.instance is not None or job.instance_id:
        rows.append(("ran on" if job.finished_at else "runs on", one_line(_place(job, facts.instance))))
    if job.submitted_at:
        rows.append(("submitted", f"{clock(job.submitted_at)}  ({relative(job.submitted_at, now)})"))
    if job.submitted_at and job.started_at:
        rows.append(("in queue", duration(max(0.0, (job.started_at - job.submitted_at).total_seconds()))))
    if job.started_at:
        rows.append(("started", f"{clock(job.started_at)}  ({relative(job.started_at, now)})"))
    if job.elapsed_s is not None:
        rows.append(("ran for", Text(duration(job.elapsed_s), style="bold")))
    elif job.started_at and job.status.is_running:
        rows.append(("runs for", Text(duration(max(0, int((now - job.started_at).total_seconds()))), style="bold")))
    attempts = f" in {job.attempts} attempts" if job.attempts > 1 else ""
    rows.append(("updates", f"{job.event_count:,}{attempts}"))
    if job.percent is not None and not job.status.is_end:
        rows.append(("progress", f"{job.percent:.0f} %"))
    gaps = [gap for found in job.missing.values() for gap in found]
    if gaps:
        rows.append(("missing", Text(gap_words(gaps), style=WARNING)))
    return rows


def _place(job: JobState, instance: InstanceRecord | None) -> str:
    name = instance.instance_id if instance else job.instance_id or ""
    if instance is None or instance.host is None:
        return name
    return f"{instance.host}{f', process {instance.pid}' if instance.pid else ''}  ({name})"


class EventPrinter:
    """Prints events one after another, with a heading per attempt, silences and missing updates."""

    def __init__(self, console: Console, missing: dict[str, list[Gap]], slowest_id: str | None) -> None:
        self._console = console
        self._gaps = {(producer, gap[1]): gap for producer, gaps in missing.items() for gap in gaps}
        self._slowest_id = slowest_id
        self._attempt: int | None = None
        self._message_width = max(_MIN_MESSAGE_WIDTH, console.width - _OFFSET_WIDTH - _STEP_WIDTH - _STATE_WIDTH - 6)
        self._margin = " " * (_OFFSET_WIDTH + _STEP_WIDTH + 4)

    def heading(self) -> None:
        """Print what the columns mean."""
        text = f"{'OFFSET':>{_OFFSET_WIDTH}}  {'STEP':>{_STEP_WIDTH}}  WHAT"
        self._print(Text(text, style=QUIET))

    def note(self, words: str) -> None:
        """Print a remark between the events."""
        self._print(Text(f"{self._margin}{words}", style=QUIET))

    def silence(self, seconds: float) -> None:
        """Print a silence of so many seconds, if it was long."""
        if seconds >= SILENCE_S:
            self._print(Text(f"{self._margin}… {duration(seconds)} of silence …", style=WARNING))

    def event(self, step: Step) -> None:
        """Print one event, and the silence behind it."""
        event, update = step.event, step.event.update
        placement = event.placement
        if placement is not None and placement.attempt != self._attempt:
            self._attempt = placement.attempt
            if placement.attempt > 0:
                self._attempt_heading(placement.attempt)
        if update.producer_id is not None and update.sequence is not None:
            gap = self._gaps.get((update.producer_id, update.sequence - 1))
            if gap is not None:
                self._print(Text(f"{self._margin}… {gap_words([gap])} missing …", style=WARNING))
        self._print(self._line(step))
        if event.replay_id is not None:
            letter = f", letter {event.letter_id}" if event.letter_id and self._console.width >= _LETTER_SHOWN else ""
            self._print(Text(f"{self._margin}↳ replayed by {one_line(event.replay_id)}{one_line(letter)}", style=QUIET))
        if event.maybe_repeated is not None:
            self._print(Text(f"{self._margin}↳ may be a repetition", style=WARNING))
        if step.length_s is not None and step.is_work:
            self.silence(step.length_s)

    def _line(self, step: Step) -> Text:
        update = step.event.update
        slowest = step.event.id == self._slowest_id
        late = is_late(step.event)
        length = "" if step.length_s is None else duration(step.length_s)
        state_style = QUIET if late else style_of(update.state)
        line = Text(no_wrap=True, overflow="ellipsis")
        line.append(f"{_offset(step.offset_s):>{_OFFSET_WIDTH}}  ", style=QUIET)
        line.append(f"{length:>{_STEP_WIDTH}}  ", style="bold yellow" if slowest else "")
        line.append(f"{sign_of(update.state)} {update.state.lower():<{_STATE_WIDTH - 2}} ", style=state_style)
        if slowest:
            line.append("◀ slowest ", style="bold yellow")
        if late:
            line.append("(late) ", style=WARNING)
        words = one_line(update.message)
        if update.percent is not None:
            words = f"{update.percent:.0f} % {words}"
        room = self._message_width - (10 if slowest else 0) - (7 if late else 0)
        if cell_len(words) > room:
            words = f"{set_cell_size(words, room - 1).rstrip()}…"
        line.append(words, style=QUIET if late else BAD if update.state is Status.ERROR else "")
        return line

    def _attempt_heading(self, attempt: int) -> None:
        words = f"── Attempt {attempt} "
        self._print(Text(words + "─" * max(0, min(self._console.width, 100) - len(words)), style=QUIET))

    def _print(self, line: Text) -> None:
        if self._console.color_system is None:
            # Several times faster than rich, which matters when 100,000 events go through a pipe.
            self._console.file.write(f"{line.plain}\n")
        else:
            self._console.print(line, soft_wrap=True)


def _offset(seconds: float) -> str:
    return duration(seconds) if seconds < 0 else f"+{duration(seconds)}"


def print_end(console: Console, facts: JobFacts, slowest: Step | None) -> None:
    """Print what matters most below the events: the slowest step, why a job is stalled, the error that ended it."""
    job = facts.job
    if slowest is not None and slowest.length_s is not None:
        words = one_line(slowest.event.update.message)
        share = f", {slowest.length_s / job.elapsed_s:.0%} of the run" if job.elapsed_s else ""
        line = Text.assemble("\nSlowest step: ", (duration(slowest.length_s), "bold yellow"), f"{share}: {words}")
        line.truncate(console.width * 2, overflow="ellipsis")
        console.print(line)
    if facts.stall is not None:
        evidence = f"{one_line(facts.stall.evidence)}\n({facts.stall.basis}, {facts.stall.kind.replace('_', ' ')})"
        _panel(console, evidence, f"stalled since {clock(facts.stall.since)}", WARNING)
    if job.status is Status.ERROR:
        lines = printable(job.message).splitlines() or [""]
        shown = "\n".join(lines[-_MAX_ERROR_LINES:])
        _panel(console, shown, f"error after {duration(job.elapsed_s or 0)}", "red")


def _panel(console: Console, words: str, title: str, style: str) -> None:
    panel = Panel(
        Text(words), title=title, title_align="left", border_style=style, box=box.ROUNDED, width=_panel_width(console)
    )
    console.print(Padding(panel, (1, 0, 0, 0)))


def _panel_width(console: Console) -> int:
    return min(console.width, 100)

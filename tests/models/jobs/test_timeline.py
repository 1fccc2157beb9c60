import io
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from jobtrail.cli.jobs.timeline_printer import EventPrinter, JobFacts, print_end, print_head
from jobtrail.models.jobs.job import Event, JobState, fold
from jobtrail.models.jobs.status import Status, parse_status
from jobtrail.models.jobs.timeline import MAX_HELD, Step, StepReader, gap_words, read_steps, slowest_step
from jobtrail.models.jobs.wire import StatusUpdate

START = datetime(2026, 11, 22, tzinfo=UTC)


def folded(*told: tuple[float, str], **fields: object) -> tuple[JobState, list[Event]]:
    """A job and its events, from times and texts."""
    job: JobState | None = None
    events = []
    for seq, (after_s, text) in enumerate(told, 1):
        state, message = parse_status(text, None, None)
        moment = START + timedelta(seconds=after_s)
        update = StatusUpdate(
            extractor_id="e",
            resource_id="r",
            job_id="j",
            status=text,
            state=state,
            message=message,
            event_time=moment,
            **fields,  # type: ignore[arg-type]
        )
        job, placement = fold(job, update, moment)
        events.append(Event(id=str(seq), queue="q", seq=seq, received_at=moment, update=update, placement=placement))
    assert job is not None
    return job, events


async def stream(events: Iterable[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


async def steps_of(events: Iterable[Event]) -> list[Step]:
    return [step async for step in read_steps(stream(events))]


RETRIED = (
    (0, "SUBMITTED: asked"),
    (60, "STARTED: go"),
    (61, "PROCESSING: slow"),
    (81, "RESUBMITTED: again"),
    (200, "STARTED: go"),
    (205, "SUCCEEDED: done"),
    (204, "PROCESSING: late"),
)


async def test_a_step_lasts_until_the_next_event_in_order() -> None:
    steps = await steps_of(folded(*RETRIED)[1])

    assert [step.offset_s for step in steps] == [0, 60, 61, 81, 200, 205, 204]
    assert [step.length_s for step in steps] == [60, 1, 20, 119, 5, None, None]


async def test_the_slowest_step_is_work_and_not_waiting_in_a_queue() -> None:
    slowest = await slowest_step(read_steps(stream(folded(*RETRIED)[1])))

    assert slowest is not None
    assert (slowest.event.update.message, slowest.length_s) == ("slow", 20)


async def test_a_worker_that_falls_silent_until_another_one_begins_is_not_slow() -> None:
    _, events = folded((0, "STARTED: go"), (5, "PROCESSING: lost"), (500, "STARTED: go"), (507, "SUCCEEDED: done"))

    slowest = await slowest_step(read_steps(stream(events)))

    assert slowest is not None
    assert slowest.length_s == 7


@pytest.mark.parametrize(
    "told",
    [
        [(0, "STARTED: go")],
        [(0, "STARTED: go"), (0, "PROCESSING: x"), (0, "SUCCEEDED: y")],
        [(0, "STARTED: go"), (5, "PROCESSING: x"), (10, "SUCCEEDED: y")],
    ],
)
async def test_where_no_step_stands_out_none_is_the_slowest(told: list[tuple[float, str]]) -> None:
    assert await slowest_step(read_steps(stream(folded(*told)[1]))) is None


async def test_any_number_of_late_events_is_shown_without_holding_them_all() -> None:
    told = [(0.0, "STARTED: go"), (9.0, "SUCCEEDED: done"), *((float(n), "PROCESSING: late") for n in range(5000))]
    events = folded(*told)[1]
    reader = StepReader()
    shown = 0
    for number, event in enumerate(events, 1):
        shown += len(list(reader.add(event)))
        assert number - shown <= MAX_HELD + 1
    assert shown + len(list(reader.rest())) == len(events)


def printed(job: JobState, steps: list[Step], slowest_id: str | None, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    facts = JobFacts(job=job, stall=None, instance=None, now=START + timedelta(minutes=10))
    print_head(console, facts)
    printer = EventPrinter(console, job.missing, slowest_id)
    printer.heading()
    for step in steps:
        printer.event(step)
    print_end(console, facts, next((step for step in steps if step.event.id == slowest_id), None))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


async def test_the_screen_shows_attempts_queue_time_run_time_and_late_events() -> None:
    job, events = folded(*RETRIED, user_id="alice")

    text = printed(job, await steps_of(events), "3")

    assert "in queue   1 min" in text
    assert "ran for    2 min 25 s" in text
    assert "user       alice" in text
    assert text.index("submitted   asked") < text.index("── Attempt 1") < text.index("── Attempt 2")
    assert "◀ slowest slow" in text
    assert "(late) late" in text
    assert "Slowest step: 20 s, 14% of the run: slow" in text
    assert max(map(len, text.splitlines())) <= 80


async def test_the_screen_marks_silence_and_shows_the_error_at_the_end() -> None:
    job, events = folded((0, "STARTED: go"), (250, "ERROR: it broke\n  because of [bold]this[/bold]"))

    text = printed(job, await steps_of(events), None)

    assert "… 4 min 10 s of silence …" in text
    assert text.rstrip().splitlines()[-4].startswith("╭─ error after 4 min 10 s")
    assert "│   because of [bold]this[/bold]" in text


async def test_missing_updates_are_marked_where_they_are_missing() -> None:
    job: JobState | None = None
    events = []
    for number in (1, 2, 7):
        moment = START + timedelta(seconds=number)
        update = StatusUpdate(
            extractor_id="e",
            resource_id="r",
            job_id="j",
            status="x",
            state=Status.PROCESSING,
            message=f"update {number}",
            event_time=moment,
            producer_id="p",
            sequence=number,
        )
        job, placement = fold(job, update, moment)
        events.append(
            Event(id=str(number), queue="q", seq=number, received_at=moment, update=update, placement=placement)
        )
    assert job is not None

    text = printed(job, await steps_of(events), None)

    assert "missing    updates 3-6" in text
    assert text.index("update 2") < text.index("… updates 3-6 missing …") < text.index("update 7")


def test_gaps_are_told_in_words() -> None:
    assert gap_words([(4, 6)]) == "updates 4-6"
    assert gap_words([(4, 4)]) == "update 4"
    assert gap_words([(4, 6), (9, 9)]) == "updates 4-6, 9"
    assert gap_words([(n, n) for n in range(1, 20, 2)]) == "updates 1, 3, 5, 7, 9 and 5 more gaps"


async def test_wide_letters_and_control_characters_keep_to_the_line() -> None:
    job, events = folded((0, "STARTED: " + "語" * 100), (1, "PROCESSING: \x1b[2Jgone"), (2, "ERROR: \x1b[2J"))

    text = printed(job, await steps_of(events), None)

    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= 80

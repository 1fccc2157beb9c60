"""What the live table shows, at the widths that terminals have."""

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from jobtrail.cli.live.jobs import LiveFigures, Snapshot
from jobtrail.cli.live.table import Surroundings, draw
from jobtrail.models.datasets.dataset import DatasetStatus
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.datasets.views import LogRow
from jobtrail.store.jobs.without_job_id import UnnamedGroup

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
AROUND = Surroundings(
    program="jobtrail",
    services="RabbitMQ 127.0.0.1:5672",
    logs=".jobtrail/logs",
    started_at=NOW - timedelta(seconds=65),
)


def job(name: str, status: Status, *, age_s: int, **fields: object) -> JobState:
    began = NOW - timedelta(seconds=age_s)
    facts: dict[str, object] = {
        "extractor_id": "ncsa.wordcount",
        "resource_id": "5cb2d2d3a4be0f9fd3400001",
        "message": f"words of {name}",
        "updated_at": NOW,
        "seen_at": NOW,
        "started_at": began,
        "attempts": 1,
        **fields,
    }
    return JobState(job_id=f"{name}-e24f993a-db63", status=status, **facts)  # type: ignore[arg-type]


def shown(snapshot: Snapshot, width: int, height: int = 20, around: Surroundings = AROUND) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(draw(snapshot, around, width=width, height=height), end="")
    return [line.rstrip() for line in capture.get().splitlines()]


def snapshot(
    *jobs: JobState,
    dead_letters: int | None = 0,
    stalled: frozenset[str] = frozenset(),
    datasets: Mapping[DatasetStatus, int] | None = None,
    changes: Sequence[LogRow] = (),
) -> Snapshot:
    group = UnnamedGroup(
        extractor_id="demo.legacy",
        resource_id="r",
        event_count=7,
        first_at=NOW - timedelta(seconds=9),
        updated_at=NOW - timedelta(seconds=5),
        status=Status.SUCCEEDED,
        message="49 lines",
    )
    figures = LiveFigures(
        jobs={Status.STARTED: 2, Status.SUBMITTED: 3, Status.SUCCEEDED: 1234, Status.ERROR: 1},
        datasets=datasets or {},
        events_per_s=12.34,
        extractors=4,
        extractors_online=3,
        stalled=stalled,
        dead_letters=dead_letters,
    )
    return Snapshot(at=NOW, jobs=jobs, unnamed=[group], changes=changes, figures=figures)


@pytest.mark.parametrize("width", [80, 110, 120, 200])
def test_every_line_fits_and_nothing_important_is_cut_off(width: int) -> None:
    lines = shown(
        snapshot(
            job("slow", Status.PROCESSING, age_s=61, percent=45.0, user_id="amara"),
            job("bad", Status.ERROR, age_s=90, attempts=3, message="no such\nfile"),
        ),
        width,
    )
    assert len(lines) == 20
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    for words in ("up 1:05", "12.3 events/s", "3/4 extractors online", "45%", "ERROR", "0 stalled", "0 dead letters"):
        assert words in text
    for words in ("amara", "1:01", "no id", "no such file", "2 running", "3 waiting", "1,234", "Ctrl-C stops"):
        assert words in text


def test_the_job_that_began_last_stands_on_top_and_older_ones_give_way() -> None:
    jobs = [job(f"j{age:02d}", Status.SUCCEEDED, age_s=age) for age in range(10, 40)]
    rows = [line for line in shown(snapshot(*reversed(jobs)), 120) if "ncsa.wordcount" in line]
    assert len(rows) == 12
    assert [row.split()[1][:3] for row in rows] == [f"j{age}" for age in range(10, 22)]


def test_a_wide_terminal_shows_whole_ids() -> None:
    text = "\n".join(shown(snapshot(job("slow", Status.STARTED, age_s=1)), 200))
    assert "slow-e24f993a-db63" in text
    assert "5cb2d2d3a4be0f9fd3400001" in text


def test_stalls_dead_letters_and_notices_are_seen() -> None:
    slow = job("slow", Status.STARTED, age_s=1)
    around = Surroundings(program="x", services="y", logs="z", started_at=NOW, notice="consumer ended unexpectedly")
    text = "\n".join(shown(snapshot(slow, dead_letters=1, stalled=frozenset({slow.job_id})), 100, around=around))
    for words in ("⚠", "1 stalled", "1 dead letter", "consumer ended unexpectedly"):
        assert words in text
    assert "dead letters unknown" in "\n".join(shown(snapshot(slow, dead_letters=None), 100))


def change(dataset_id: str, status: str, message: str) -> LogRow:
    return LogRow(
        key=dataset_id,
        dataset_id=dataset_id,
        group="Vintage cameras",
        type="Status Update",
        from_status="Pending",
        to_status=status,
        source="api",
        message=message,
        run_id="r",
        created_at=NOW,
    )


CHANGES = [
    change("vintage-cameras-77def083", "Failed", "the API says Failed: no images"),
    change("d-2", "Complete", "the API says Complete"),
    change("x" * 128, "Analyzing", "jobs are at work"),
    change("d-4", "Analyzing", "jobs are at work"),
]
COUNTS = {DatasetStatus.ANALYZING: 2, DatasetStatus.COMPLETE: 1234, DatasetStatus.FAILED: 1}


@pytest.mark.parametrize("width", [80, 120, 200])
def test_datasets_have_lines_of_their_own_below_the_jobs(width: int) -> None:
    lines = shown(snapshot(job("slow", Status.STARTED, age_s=1), datasets=COUNTS, changes=CHANGES), width, 24)
    assert len(lines) == 24
    assert max(len(line) for line in lines) <= width
    text = "\n".join(lines)
    for words in ("○ 0 pending", "● 2 analyzing", "✔ 1,234 complete", "✖ 1 failed", "0 dead letters", "Ctrl-C stops"):
        assert words in text
    for words in (
        "✖ Failed",
        "vintage-cameras-77def083",
        "Vintage cameras",
        "✔ Complete",
        "d-2",
        "● Analyzing",
        "xxx…",
    ):
        assert words in text
    assert "d-4" not in text
    assert ("no images" in text) == (width > 80)


@pytest.mark.parametrize(("height", "changes"), [(12, None), (13, 0), (16, 1), (20, 2), (40, 3)])
def test_a_lower_terminal_shows_fewer_changes_and_the_lowest_only_jobs(height: int, changes: int | None) -> None:
    lines = shown(snapshot(datasets=COUNTS, changes=CHANGES), 80, height)
    assert len(lines) == height
    assert any("analyzing" in line for line in lines) == (changes is not None)
    assert sum("Vintage cameras" in line for line in lines) == (changes or 0)


def test_nothing_is_said_of_datasets_where_there_are_none() -> None:
    lines = shown(snapshot(job("slow", Status.STARTED, age_s=1)), 80, 40)
    assert len(lines) == 40
    assert "atasets" not in "\n".join(lines)

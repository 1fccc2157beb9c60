"""The overview: its figures, what needs somebody, and what it says where there is nothing."""

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from tests.heartbeat.support import beat
from tests.support import eventually_async
from tests.web.conftest import Asking
from tests.web.pages import trail
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, succeed, tell


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The present of this test, for what is younger than the test run."""
    now = datetime.now(UTC).replace(microsecond=0)
    monkeypatch.setattr(trail, "NOW", now)
    return now


async def look(web: httpx.AsyncClient, path: str = "/") -> Element:
    """The page, when all its figures are counted."""

    async def counted() -> list[Element]:
        page = seen(await web.get(path))
        return [] if "still counting" in page.text.lower() else [page]

    return (await eventually_async(counted))[0]


def tiles(page: Element) -> dict[str, tuple[str, str]]:
    """Value and link of each tile."""
    return {
        tile.one("span", of="name").text: (tile.one("b").text, tile["href"])
        for tile in page.one(id="tiles").all("a", of="tile")
    }


async def heard(database: Database, settings: Settings, **last_seen_s: float) -> None:
    """Store a heartbeat of each extractor, so many seconds old, as a monitor that has been there all the time."""
    repository = ExtractorRepository(database)
    await repository.record(
        [
            beat(trail.NOW - timedelta(seconds=ago), extractor=name, instance=f"{name}-1", interval_s=10)
            for name, ago in last_seen_s.items()
        ]
    )
    await repository.note_watch(settings.heartbeat_queue, trail.NOW)


async def test_it_says_what_to_do_next_where_there_was_never_a_job(
    web: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    page = seen(await web.get("/"))
    assert page.one("h1").text == "No updates yet"
    assert "jobtrail up --demo" in page.text
    assert settings.reply_stream in page.text
    assert settings.require_amqp_url().split("@")[1].split("/")[0] in page.text
    assert settings.require_amqp_url().split(":")[2].split("@")[0] not in page.text  # the password
    await succeed(database, "first", 5)
    assert (await look(web)).one("h1").text == "Overview"


async def test_tiles_count_what_is_and_lead_to_it(
    web: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await succeed(database, "good", 120, took_s=10, extractor="ocr")
    await tell(database, [(Status.STARTED, "", 200), (Status.ERROR, "no band 3", 100)], job="bad", extractor="ocr")
    await tell(database, [(Status.STARTED, "", 90_000), (Status.ERROR, "long ago", 89_000)], job="old-bad")
    await tell(database, [(Status.SUBMITTED, "", 3)], job="waits")
    await tell(database, [(Status.STARTED, "", 9), (Status.RESUBMITTED, "", 4)], job="again")
    await tell(database, [(Status.STARTED, "", 4)], job="works")
    await tell(database, [(Status.STARTED, "", 4000), (Status.PROCESSING, "page 4", 3900)], job="stuck")
    await heard(database, settings, ocr=0, faces=900)
    page = await look(web)
    assert tiles(page) == {
        "Running": ("2", "/jobs?status=STARTED&status=PROCESSING"),
        "Waiting": ("2", "/jobs?status=SUBMITTED&status=RESUBMITTED"),
        "Failed": ("1", "/jobs?status=ERROR&since=1d"),
        "Stalled": ("1", "/jobs?stalled=1"),
        "Extractors online": ("1 of 2", "/extractors"),
    }
    assert (page["data-live"], page["data-refresh-s"]) == ("/live?topic=all", "15")
    for path in {href for _, href in tiles(page).values()}:
        assert (await web.get(path)).status_code == 200


async def test_charts_tell_outcomes_and_durations_of_the_chosen_time(
    web: httpx.AsyncClient, database: Database
) -> None:
    for number in range(3):
        await succeed(database, f"good-{number}", 300, took_s=10)
    await tell(database, [(Status.STARTED, "", 40_010), (Status.ERROR, "", 40_000)], job="bad")
    hour = await look(web)
    assert [chart["aria-label"] for chart in hour.all("svg", of="chart")] == [
        "Finished jobs in the last hour: 3 succeeded, 0 failed, 0 skipped or cancelled",
        "Job durations in the last hour: median 9.87 s, p95 9.87 s",
    ]
    (column,) = hour.one(id="outcomes").all("a", of="column")
    assert column.one("title").text.endswith("UTC: 3 succeeded")
    assert (await web.get(column["href"])).text.count("data-row") == 3
    day = await look(web, "/?window=24h")
    keys = [key.text for key in day.one(id="outcomes").one("ul", of="chart-keys").all("li")]
    assert keys == ["succeeded 3", "failed 1", "skipped or cancelled 0"]
    assert [link.text for link in day.all("a", aria_current="true")] == ["24h"]
    assert day.link("7d") == "/?window=7d"
    assert "window" in seen(await web.get("/?window=2h"), 400).text


async def test_what_runs_failed_or_is_away_is_listed_with_what_is_to_be_known(
    web: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    working = [(Status.STARTED, "", 60), (Status.RESUBMITTED, "", 50), (Status.STARTED, "", 8)]
    await tell(database, [*working, (Status.PROCESSING, "Read a third", 4)], job="works", extractor="ocr", percent=33.4)
    for number in range(9):
        ended = [(Status.STARTED, "", 700), (Status.ERROR, f"no band {number}", 570 - number)]
        await tell(database, ended, job=f"bad-{number}", extractor="faces")
    await heard(database, settings, ocr=0, faces=900, bees=9000)
    page = await look(web)
    (running,) = page.one(id="running").all("li")
    assert re.fullmatch(r"ocr works attempt 2 \d+ min( \d+ s)? 33% Read a third", running.text)
    assert running.one("progress")["value"] == "33.4"
    failures = [entry.text for entry in page.one(id="failures").all("li")]
    assert failures[0] == "faces bad-8 9 min ago no band 8"
    assert len(failures) == 6
    offline = [entry.text for entry in page.one(id="offline").all("li")]
    assert [entry.split()[0] for entry in offline] == ["faces", "bees"]
    assert offline[0] == (
        "faces 1.0 last seen 15 min ago no heartbeat from instance faces-1 for 15 min (limit 60 s) inferred"
    )
    assert "hidden" in page.one(id="stalled").attributes


async def test_a_stalled_job_is_shown_with_why_and_its_evidence(
    web: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    for number in range(3):
        await succeed(database, f"good-{number}", 300, took_s=10, extractor="ocr")
    lost = [(Status.STARTED, "", 1000.0), (Status.PROCESSING, "page 4 of 10", 920.0)]
    await tell(database, lost, job="lost", extractor="ocr", instance_id="ocr-1")
    await heard(database, settings, ocr=900)
    page = await look(web)
    (entry,) = page.one(id="stalled").all("li")
    assert entry.one("p", of="words").text.startswith("No heartbeat from instance ocr-1 for 15 min (limit 60 s); ")
    assert re.search(r"; ocr usually takes 9\.87 s \(95 % within 9\.87 s\), this job 1[67] min ", entry.text)
    assert "; its queue ocr is not on the broker." in entry.text
    basis = dict(
        zip(
            [name.text for name in entry.all("dt")],
            [told.all("span", of="basis")[0].text for told in entry.all("dd")],
            strict=True,
        )
    )
    assert basis == {
        "Finding": "inferred",
        "Queue": "reported",
        "Last event": "reported",
        "Usual duration": "inferred",
    }
    assert entry.one("q").text == "page 4 of 10"


async def test_markup_of_workers_is_text(web: httpx.AsyncClient, database: Database) -> None:
    for number, text in enumerate(HOSTILE):
        ended = [(Status.STARTED, "", 60.0), (Status.ERROR, text, 50.0)]
        await tell(database, ended, job=f"{text}{number}", extractor=text)
        silent = [(Status.STARTED, "", 9000.0), (Status.PROCESSING, text, 8000.0)]
        await tell(database, silent, job=f"silent {text}{number}", extractor=text)
    page = await look(web)
    assert HOSTILE[0] in page.one(id="failures").text
    assert "javascript:alert(1)" in page.one(id="stalled").text
    for link in page.all("a"):
        assert link["href"].startswith(("/", "#"))
        assert (await web.get(link["href"].split("?")[0])).status_code in (200, 303)

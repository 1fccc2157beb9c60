"""The page of all extractors, and that of one: who is there, what they do, and why something is stuck."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.web.paths import address
from tests.heartbeat.support import beat
from tests.support import Names, eventually_async
from tests.web.conftest import Asking
from tests.web.pages import trail
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, as_shown, succeed, tell

NOTHING = "\u2013"
"""What stands where nothing is known."""


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


@pytest.fixture
def channel(amqp_url: str) -> Iterator[BlockingChannel]:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        yield connection.channel()


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The present of this test, for what is younger than the test run."""
    now = datetime.now(UTC).replace(microsecond=0)
    monkeypatch.setattr(trail, "NOW", now)
    return now


class Monitor:
    """Stores heartbeats as a monitor that has been there all the time."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._repository = ExtractorRepository(database)
        self._queue = settings.heartbeat_queue

    async def hear(self, ago_s: float, **fields: Any) -> None:
        await self._repository.record([beat(trail.NOW - timedelta(seconds=ago_s), **fields)])
        await self._repository.note_watch(self._queue, trail.NOW)


@pytest.fixture
def monitor(database: Database, settings: Settings) -> Monitor:
    return Monitor(database, settings)


async def look(web: httpx.AsyncClient, path: str) -> Element:
    """The page, when all its figures are counted."""

    async def counted() -> list[Element]:
        page = seen(await web.get(path))
        return [] if "still counting" in page.text.lower() else [page]

    return (await eventually_async(counted))[0]


async def test_extractors_are_listed_with_their_state_and_figures(
    web: httpx.AsyncClient, database: Database, monitor: Monitor
) -> None:
    for number in range(3):
        await succeed(database, f"good-{number}", 100, took_s=10, extractor="ocr")
    await tell(database, [(Status.STARTED, "", 110), (Status.ERROR, "no", 100)], job="bad", extractor="ocr")
    await tell(database, [(Status.STARTED, "", 4)], job="works", extractor="ocr")
    await succeed(database, "silent", 100, took_s=60, extractor="never-heard-of")
    await monitor.hear(0, extractor="ocr", instance="o-1", version="1.10", interval_s=10)
    await monitor.hear(900, extractor="ocr", instance="o-2", version="1.9", interval_s=10)
    await monitor.hear(900, extractor="faces", instance="f-1", interval_s=10)
    page = await look(web, "/extractors")
    assert page.one(id="how-many").text == "1 of 3 online"
    _, faces, silent, ocr = page.one(id="extractors").rows()
    assert faces[:6] == ["faces", "offline", "0 of 1", "1.0", "0", "0 jobs finished in the last hour"]
    assert faces[6:] == [NOTHING, NOTHING, NOTHING, "0", "15 min ago"]
    assert silent[:4] == ["never-heard-of", "no heartbeats", NOTHING, NOTHING]
    assert silent[6:] == ["1 min", "1 min", "0%", "0", NOTHING]
    assert ocr[:4] == ["ocr", "online", "1 of 2", "1.10"]
    assert ocr[4] in ("4.0", "4.1")
    assert ocr[6:10] == ["9.87 s", "9.87 s", "25%", "1"]
    assert page.one(id="extractors").link("1") == "/jobs?extractor=ocr&status=STARTED&status=PROCESSING"
    assert page.link("ocr") == "/extractors/ocr?window=1h"
    assert (await look(web, "/extractors?window=7d")).link("ocr") == "/extractors/ocr?window=7d"


async def test_it_says_what_to_do_where_there_is_no_extractor(web: httpx.AsyncClient) -> None:
    page = seen(await web.get("/extractors"))
    assert "No extractors yet" in page.text
    assert "jobtrail doctor" in page.text


async def test_an_extractor_is_shown_with_its_instances_versions_and_queue(
    web: httpx.AsyncClient, database: Database, monitor: Monitor, channel: BlockingChannel, names: Names
) -> None:
    queue = names.queue("work")
    channel.queue_declare(queue)
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"work")
    channel.basic_publish("", queue, b"more")
    info = {"description": "Reads text in pictures.", "repository": "javascript:alert(1)"}
    await monitor.hear(900, extractor="ocr", instance="o-2", version="1.9", interval_s=10, queue=queue)
    await monitor.hear(
        0, extractor="ocr", instance="o-1", version="1.10", queue=queue, jobs=["a"], host="node-1", pid=7, info=info
    )
    await tell(database, [(Status.STARTED, "Begun", 4)], job="works", extractor="ocr", percent=5)
    await succeed(database, "good", 100, took_s=10, extractor="ocr")
    page = await look(web, "/extractors/ocr?window=24h")
    assert page.one("h1").text == "ocr"
    assert page.one(id="head").one("span", of="pill").text == "online"
    assert page.one("p", of="about").text == "Reads text in pictures."
    assert page.link("Latest jobs") == "/jobs?extractor=ocr"
    assert page.link("7d") == "/extractors/ocr?window=7d"
    assert page["data-live"] == "/live?topic=extractor%3Aocr"
    _, first, second = page.one(id="instances").rows()
    assert first[:2] == ["o-1", "online"]
    assert first[2].startswith("reported instance o-1 sent a heartbeat ")
    assert first[3:6] == ["node-1:7", "1.10", "1"]
    assert second[:3] == ["o-2", "silent", "inferred no heartbeat from instance o-2 for 15 min (limit 60 s)"]
    assert second[4] == "unknown"
    assert [row[0] for row in page.one(id="versions").rows()[1:]] == ["1.10 newest", "1.9"]
    assert page.one(id="queues").all("li")[0].text == f"{queue} 2 waiting · 0 consumers"
    assert "works" in page.one(id="running").text
    assert "javascript:alert(1)" in page.one(id="info").text
    assert [chart["aria-label"].split(":")[0] for chart in page.all("svg", of="chart")] == [
        "Finished jobs in the last 24 hours",
        "Job durations in the last 24 hours",
    ]
    (column,) = page.one(id="outcomes").all("a", of="column")
    assert (await web.get(column["href"])).text.count("data-row") == 1


async def test_it_says_why_its_jobs_are_stuck(
    web: httpx.AsyncClient, database: Database, monitor: Monitor, channel: BlockingChannel, names: Names
) -> None:
    queue = names.queue("work")
    channel.queue_declare(queue)
    await monitor.hear(900, extractor="ocr", instance="o-1", interval_s=10, queue=queue)
    silent = [(Status.STARTED, "Begun", 1000.0), (Status.PROCESSING, "page 4", 920.0)]
    for number in range(7):
        await tell(database, silent, job=f"lost-{number}", extractor="ocr", instance_id="o-1")
    await tell(database, silent, job="another's", extractor="faces")
    page = await look(web, "/extractors/ocr")
    stuck = page.one(id="stalled")
    assert stuck.one("h2").text == "Why is this stuck?"
    assert stuck.link("All 7") == "/jobs?extractor=ocr&stalled=1"
    entries = stuck.all("li")
    assert len(entries) == 5
    assert "No heartbeat from instance o-1 for 15 min (limit 60 s); " in entries[0].text
    assert f"; no consumer takes work from {queue}, where no request waits." in entries[0].text
    assert "Usual duration unknown" in entries[0].text
    assert "another's" not in page.text
    assert page.one(id="running").text == "Running All running jobs are stalled: see above."


async def test_an_extractor_without_heartbeats_has_a_page_and_one_that_never_was_has_none(
    web: httpx.AsyncClient, database: Database
) -> None:
    await succeed(database, "good", 100, took_s=10, extractor="silent")
    page = await look(web, "/extractors/silent")
    assert page.one(id="head").one("span", of="pill").text == "no heartbeats"
    assert "The broker has no such queue." in page.one(id="queues").text
    assert not page.all(id="instances")
    assert "nobody" in seen(await web.get("/extractors/nobody"), 404).text


async def test_markup_of_workers_is_text(web: httpx.AsyncClient, database: Database, monitor: Monitor) -> None:
    for text in HOSTILE:
        info = {"description": text, text: text}
        await monitor.hear(0, extractor=text, instance=text, version=text, host=text, queue=text, owner=text, info=info)
        await succeed(database, f"job of {text}", 50, extractor=text)
    page = await look(web, "/extractors")
    links = [link for link in page.all("a") if "data-row" in link.attributes]
    assert sorted(link.text for link in links) == sorted(map(as_shown, HOSTILE))
    for text in HOSTILE:
        one = await look(web, address("extractors", text))
        told = as_shown(text)
        assert one.one("h1").text == told
        assert one.one("p", of="about").text == told
        assert told in one.one(id="instances").text
        assert "\u202e" not in one.one(id="info").text
    unusual = {"description": {"not": "a text"}, "name": "odd"}
    await monitor.hear(0, extractor="odd", instance="o", info=unusual)
    assert "not" in (await look(web, "/extractors/odd")).one(id="info").text

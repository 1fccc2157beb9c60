"""The page of a job: its verdict, its timeline, its updates, and what its buttons do."""

import asyncio
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import pika
import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from jobtrail.models.errors import BrokerError, NotFoundError
from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.publisher import submit
from jobtrail.store.database import Database
from jobtrail.web.pages.jobs import acts as job_acts
from jobtrail.web.paths import address
from tests.consumer.conftest import consuming
from tests.jobs import a_job, store
from tests.support import WAIT_S, Names, eventually_async
from tests.web.conftest import Asking, Tokens
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, Said, as_shown, tell

RETRIED: list[Said] = [
    (Status.SUBMITTED, "Submitted.", 300),
    (Status.STARTED, "Started.", 240),
    (Status.PROCESSING, "Decoding", 239),
    (Status.RESUBMITTED, "(#1) no memory", 219),
    (Status.STARTED, "Started.", 100),
    (Status.PROCESSING, "Decoding", 95),
    (Status.ERROR, "MemoryError: no memory", 90),
    (Status.PROCESSING, "One more thing", 91),
]


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


def steady(count: int) -> list[Said]:
    """A job that says something every second, and has ended."""
    said = [(Status.PROCESSING, f"Page {number}.", float(count - number)) for number in range(1, count - 1)]
    return [(Status.STARTED, "Started.", float(count)), *said, (Status.SUCCEEDED, "Done.", 0.0)]


def events(page: Element) -> list[list[str]]:
    """The rows of events: number, offset, step, status, words."""
    return page.one(id="events").rows()[1:]


def positions(page: Element) -> list[int]:
    return [int(row["id"].removeprefix("e-")) for row in page.one(id="events").all("tr") if "id" in row.attributes]


def figures(page: Element) -> dict[str, str]:
    return {each.one("dt").text: each.one("dd").text for each in page.one(id="figures").all("div")}


def facts(page: Element) -> dict[str, str]:
    return {each.one("dt").text: each.one("dd").text for each in page.one(id="facts").all("div")}


def lanes(page: Element) -> list[str]:
    return [lane.one("div", of="name").text for lane in page.all("div", of="lane") if lane.all("b")]


def titles(elements: Iterable[Element]) -> list[str]:
    return [element.one("title").text for element in elements]


async def test_a_job_tells_its_figures_facts_and_events_in_order(web: httpx.AsyncClient, database: Database) -> None:
    await tell(database, RETRIED, job="j-1", extractor="ocr", resource="file-1", user_id="ann")

    page = seen(await web.get("/jobs/j-1"))

    assert page.one("h1").text == "j-1"
    assert [pill.text for pill in page.one(id="state").all(of="pill")] == ["ERROR"]
    assert figures(page) == {
        "In queue": "1 min 2 min 59 s in total",
        "Ran": "2 min 30 s 31 s at work",
        "Attempts": "2",
        "Updates": "8",
        "Slowest step": "20 s 13 % of the run",
    }
    assert facts(page)["Requested by"] == "ann"
    assert page.link("ann") == "/jobs?user=ann"
    assert (page.link("ocr"), page.link("file-1")) == ("/extractors/ocr", "/resources/file-1")
    rows = events(page)
    assert rows[0] == ["1", "+0 s", "1 min", "SUBMITTED", "Submitted."]
    assert [row[0][:9] for row in rows if len(row) == 1] == ["Attempt 1", "Attempt 2"]
    assert rows[3] == ["3", "+1 min 1 s", "20 s", "PROCESSING", "Decoding"]
    assert rows[-1] == ["8", "+3 min 29 s", "PROCESSING late", "One more thing"]
    assert positions(page) == list(range(1, 9))
    assert (page.link("JSON"), page.link("Raw messages")) == ("/api/v1/jobs/j-1", "/api/v1/jobs/j-1/messages")
    assert page["data-live"] == "/live?topic=job%3Aj-1"
    assert "data-refresh-s" not in page.attributes
    assert {part["id"] for part in page.all() if "data-part" in part.attributes} == {
        *("state", "acts", "verdict", "figures", "timeline", "facts", "events")
    }


async def test_an_update_that_may_be_a_repetition_is_marked(web: httpx.AsyncClient, database: Database) -> None:
    await tell(database, steady(4), job="j-1")
    first = await database.extractions.find_one({"position": 2})
    assert first is not None
    await database.extractions.update_one({"position": 3}, {"$set": {"maybe_repeated": first["id"]}})

    page = seen(await web.get("/jobs/j-1"))
    listed = seen(await web.get("/resources/r-1?open=x&job=j-1"))

    assert [row[3] for row in events(page) if row[0] == "3"] == ["PROCESSING may be a repetition"]
    for shown in (page, listed):
        (mark,) = [each for each in shown.all("span") if each.text == "may be a repetition"]
        assert first["id"] in mark["title"]


async def test_the_timeline_is_drawn_to_scale_and_told_as_a_table_too(
    web: httpx.AsyncClient, database: Database
) -> None:
    await tell(database, RETRIED, job="j-1")

    page = seen(await web.get("/jobs/j-1"))

    timeline = page.one(id="timeline")
    assert lanes(timeline) == ["In queue", "Attempt 1 21 s", "Attempt 2 10 s", "Updates 8"]
    assert [text.text for text in timeline.all("text", of="wide") if "length" in text["class"]] == [
        "1 min",
        "1 min 59 s",
    ]
    assert "gap shortened; actual length shown above" in timeline.text
    (slowest,) = timeline.one("div", of="lanes").all("rect", of="slowest")
    assert titles([slowest]) == ["Event 3, +1 min 1 s: 20 s until the next one, the slowest step"]
    assert "Slowest step: 20 s, 13 % of the run, after no. 3 Decoding" in timeline.text
    assert titles(timeline.all("svg", of="mark")) == [
        "RESUBMITTED, +1 min 21 s",
        "ERROR, +3 min 30 s",
        "Late: PROCESSING, +3 min 29 s",
    ]
    targets = {link["href"] for link in timeline.all("a") if link["href"].startswith("#")}
    assert targets <= {f"#e-{position}" for position in range(1, 9)}
    assert {"#e-1", "#e-3", "#e-4", "#e-7", "#e-8"} <= targets
    table = [[row[0], *row[-2:]] for row in timeline.rows()]
    assert table == [
        ["What", "Took", "Outcome"],
        ["In queue", "1 min", "taken by a worker"],
        ["Attempt 1", "21 s", "RESUBMITTED"],
        ["Attempt 2", "10 s", "ERROR"],
    ]


async def test_an_error_is_large_and_of_a_long_one_the_telling_line_comes_first(
    web: httpx.AsyncClient, database: Database
) -> None:
    trace = "Traceback (most recent call last):\n" + "\n".join(f'  File "x.py", line {n}' for n in range(2000))
    for job, words in (("short", "It broke."), ("long", f"{trace}\nKeyError: 'x'"), ("silent", "")):
        await tell(database, [(Status.STARTED, "go", 9), (Status.ERROR, words, 4)], job=job)

    short, long, silent = [seen(await web.get(f"/jobs/{job}")).one(id="verdict") for job in ("short", "long", "silent")]

    assert short.text == "Failed after 5 s It broke."
    assert long.one(of="headline").text == "KeyError: 'x'"
    assert long.one("summary").text.endswith("line 12 … show all")
    assert long.one("details").link(f"… {len(trace) + 14 - 20_000:,} more characters, as JSON") == "/api/v1/jobs/long"
    assert silent.text == "Failed after 5 s The worker gave no reason."


async def test_what_workers_say_is_text_and_nothing_else(web: httpx.AsyncClient, database: Database) -> None:
    worst = "\n".join([*HOSTILE, "\x00\x1b[31m\x9f"])
    said: list[Said] = [(Status.SUBMITTED, worst, 9), (Status.STARTED, worst, 8), (Status.PROCESSING, worst, 4)]
    for number, name in enumerate(HOSTILE):
        names = {"extractor": name, "resource": name, "user_id": name, "instance_id": name, "producer_id": name}
        await tell(database, [*said, (Status.ERROR, worst, 3)], job=f"{name}{number}", **names)
        response = await web.get(address("jobs", f"{name}{number}"))

        page = seen(response)
        assert page.one("h1").text == " ".join(as_shown(f"{name}{number}").split())
        assert facts(page)["Extractor"] == as_shown(name)
        words = [cell.text for cell in page.one(id="events").all("td", of="said")]
        assert len(words) == 4
        for word in words:
            assert all(as_shown(each) in word for each in HOSTILE)
            assert word.endswith("\ufffd\ufffd[31m\ufffd")
        assert "\x00" not in response.text
        assert "\u202e" not in page.text
        assert not [each for each in page.all("a") if each["href"].startswith("javascript")]
        assert f"{address('jobs', f'{name}{number}')}/submit-again" in {each["action"] for each in page.all("form")}


async def test_a_message_of_a_megabyte_is_cut_and_leads_to_the_whole(
    web: httpx.AsyncClient, database: Database
) -> None:
    said: list[Said] = [(Status.STARTED, "x" * 1_000_000, 9), (Status.PROCESSING, "line\n" * 300, 8)]
    await tell(database, said, job="j-1")

    response = await web.get("/jobs/j-1")

    assert len(response.content) < 40_000
    long, lines = seen(response).one(id="events").all("td", of="said")
    assert long.one("summary").text == "x" * 320 + " … show all"
    assert long.link("… 998,000 more characters, as JSON") == "/api/v1/jobs/j-1/events?after=0&limit=1"
    assert lines.one("summary").text == "line " * 6 + "… show all"


async def test_events_are_paged_by_position_and_the_latest_come_first(
    web: httpx.AsyncClient, database: Database
) -> None:
    await tell(database, steady(450), job="j-1")

    latest = seen(await web.get("/jobs/j-1"))
    assert positions(latest) == list(range(251, 451))
    assert "No. 251 to 450 of 450" in latest.one(id="events").text
    assert events(latest)[0][0].startswith("Attempt 1, continued")
    assert len(latest.all("rect", of="window")) == 1
    earlier = seen(await web.get(latest.link("← Earlier")))
    assert positions(earlier) == list(range(51, 251))
    first = seen(await web.get(earlier.link("← Earlier")))
    assert positions(first) == list(range(1, 51))
    assert "← Earlier" not in first.text
    assert positions(seen(await web.get(first.link("Later →")))) == list(range(51, 251))
    assert positions(seen(await web.get(latest.link("First")))) == list(range(1, 201))
    assert positions(seen(await web.get(first.link("Latest")))) == positions(latest)
    # What is drawn leads to its event, on whichever page that is.
    links = [link["href"] for link in latest.one("div", of="density").all("a")]
    assert len(links) > 100
    for link in (links[0], links[len(links) // 2], links[-1]):
        target = seen(await web.get(urlsplit(link)._replace(fragment="").geturl()))
        assert positions(target)[0] == int(parse_qs(urlsplit(link).query)["after"][0]) + 1


async def test_a_step_that_ends_on_the_next_page_is_told_on_this_one(
    web: httpx.AsyncClient, database: Database
) -> None:
    await tell(database, steady(300), job="j-1")

    page = seen(await web.get("/jobs/j-1?after=0"))

    assert events(page)[-1] == ["200", "+3 min 19 s", "1 s", "PROCESSING", "Page 199."]


@pytest.mark.parametrize(
    "query", ["after=1000000000", "before=0", "before=1", "after=449&before=3", "status=NONSENSE&q="]
)
async def test_an_address_that_asks_for_nothing_is_answered_all_the_same(
    web: httpx.AsyncClient, database: Database, query: str
) -> None:
    await tell(database, steady(450), job="j-1")

    page = seen(await web.get(f"/jobs/j-1?{query}"))

    assert len(positions(page)) in (0, 1, 200)


async def test_events_are_found_by_status_and_words(web: httpx.AsyncClient, database: Database) -> None:
    await tell(database, [*RETRIED, (Status.PROCESSING, "100 % (of $1.50)? [x]*", 80)], job="j-1")

    resubmitted = seen(await web.get("/jobs/j-1?status=RESUBMITTED"))
    assert positions(resubmitted) == [4]
    # Its step is told though its end is left out.
    assert events(resubmitted)[-1] == ["4", "+1 min 21 s", "1 min 59 s", "RESUBMITTED", "(#1) no memory"]
    assert "1 matching among no. 1 to 9 of 9" in resubmitted.one(id="events").text
    assert [each.text for each in resubmitted.all("option") if "selected" in each.attributes] == ["RESUBMITTED"]
    assert positions(seen(await web.get("/jobs/j-1", params={"q": "NO MEMORY"}))) == [4, 7]
    assert positions(seen(await web.get("/jobs/j-1", params={"q": "memory", "status": "error"}))) == [7]
    assert positions(seen(await web.get("/jobs/j-1", params={"q": "(of $1.50)? [x]*\0"}))) == [9]
    nothing = seen(await web.get("/jobs/j-1", params={"q": "Nothing of that kind"}))
    assert "No matches among no. 1 to 9" in nothing.text
    assert nothing.link("show all updates") == "/jobs/j-1#events"
    assert nothing.one("input", type="search", name="q")["value"] == "Nothing of that kind"
    assert lanes(nothing.one(id="timeline"))[-1] == "Updates 9"


async def test_a_running_job_is_live_and_one_at_a_standstill_says_why(
    web: httpx.AsyncClient, database: Database
) -> None:
    await tell(database, [(Status.STARTED, "go", 8), (Status.PROCESSING, "a third", 3)], job="j-1", percent=33.4)
    await tell(database, [(Status.STARTED, "go", 4000)], job="j-2", extractor="ocr")

    running = seen(await web.get("/jobs/j-1"))
    assert running["data-refresh-s"] == "10"
    assert running.one("progress")["value"] == "33.4"
    assert "data-since" in running.one(id="figures").one("time").attributes
    assert running.one("div", of="lanes").all("rect", of="open")
    assert "so far" in running.one(id="timeline").text
    assert "Submit again" not in running.text
    stalled = seen(await web.get("/jobs/j-2"))
    assert [pill.text for pill in stalled.one(id="state").all(of="pill")] == ["STARTED", "stalled"]
    verdict = stalled.one(id="verdict").text
    assert "Stalled" in verdict
    assert "no update for" in verdict.lower()
    assert "inferred" in verdict


async def test_missing_updates_and_where_it_ran_are_told(
    web: httpx.AsyncClient, database: Database, mongo_client: MongoClient[Any], settings: Settings
) -> None:
    await tell(database, [(Status.STARTED, "go", 8)], job="j-1", instance_id="i-1", producer_id="p", sequence=1)
    trail = mongo_client[settings.database]
    trail.jobs.update_one(
        {"_id": "j-1"}, {"$set": {"producers": [{"id": "p", "highest": 7, "missing": [[4, 6], [9, 9]]}]}}
    )
    trail.extractions.update_one({"job_id": "j-1"}, {"$set": {"sequence": 7}})
    now = datetime.now(UTC)
    instance = {"extractor": "x", "version": "1.4", "queue": "x", "owner": None, "host": "node-7", "pid": 4711}
    times = {"first_seen": now, "last_seen": now, "interval_s": 5.0, "jobs": ["j-1"], "stopping": False}
    trail.extractor_instances.insert_one({"_id": "i-1", **instance, **times})

    page = seen(await web.get("/jobs/j-1"))

    assert figures(page)["Updates"] == "1 4-6, 9 missing"
    assert ["… updates 4-6 missing …"] in events(page)
    assert facts(page)["Runs on"] == "node-7:4711 i-1"
    assert facts(page)["Extractor"] == "x 1.4"


async def test_a_job_whose_updates_are_gone_and_one_that_never_was(
    web: httpx.AsyncClient, mongo_client: MongoClient[Any], settings: Settings
) -> None:
    for count in (3, 5000):
        store(mongo_client[settings.database], a_job(f"j-{count}", Status.SUCCEEDED, event_count=count))
        page = seen(await web.get(f"/jobs/j-{count}"))
        assert "No updates of this job are stored" in page.one(id="timeline").text
        assert "No updates here" in page.one(id="events").text
    never = seen(await web.get("/jobs/nowhere"), 404)
    assert "there is no job 'nowhere'" in never.text
    assert (never.link("All jobs"), never.link("Overview")) == ("/jobs", "/")


@pytest.fixture
def work_queue(amqp_url: str, names: Names) -> str:
    """A worker's queue with nobody at work."""
    queue = names.extractor()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(queue, durable=True)
    return queue


@pytest.fixture
def reply_queue(amqp_url: str, settings: Settings) -> str:
    """The reply queue where no consumer runs."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(settings.reply_stream, durable=True)
    return settings.reply_stream


async def submit_one(settings: Settings, queue: str, job_id: str) -> None:
    """Submit a job as soon as the consumer has made the reply queue."""

    async def submitted() -> bool:
        try:
            await asyncio.to_thread(
                submit,
                settings.require_amqp_url(),
                queue,
                resource_id="file-1",
                user_id="ann",
                job_id=job_id,
                reply_queue=settings.reply_stream,
            )
        except (NotFoundError, BrokerError):  # RabbitMQ refuses what comes for a queue that is just being made
            return False
        return True

    await eventually_async(submitted)


def requests_in(amqp_url: str, queue: str) -> list[dict[str, Any]]:
    """Take what waits in a queue."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        bodies = iter(lambda: channel.basic_get(queue, auto_ack=True)[2], None)
        return [json.loads(body) for body in bodies]


async def shown(web: httpx.AsyncClient, job_id: str, status: str) -> Element:
    """Open a job's page once the job has a status."""

    async def page() -> Element | Literal[False]:
        response = await web.get(address("jobs", job_id))
        found = response.status_code == 200 and seen(response)
        return found and found.one(id="state").all(of="pill")[0].text == status and found

    found = await eventually_async(page)
    assert found
    return found


async def test_an_operator_cancels_what_waits_and_submits_again_what_has_ended(
    web: httpx.AsyncClient,
    settings: Settings,
    amqp_url: str,
    work_queue: str,
    mongo_client: MongoClient[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_acts, "_STORED_WITHIN_S", WAIT_S)  # on a slow machine the consumer is slow too
    job_id = "a/b 1"
    path = address("jobs", job_id)
    async with consuming(settings):
        await submit_one(settings, work_queue, job_id)
        waiting = await shown(web, job_id, "SUBMITTED")
        assert "Submit again" not in waiting.text
        cancelled = await web.post(f"{path}/cancel", data=waiting.form(f"{path}/cancel"))
        assert (cancelled.status_code, cancelled.headers["Location"]) == (303, f"{path}?outcome=cancelled")
        assert requests_in(amqp_url, work_queue) == []

        # The page that follows shows it already.
        ended = seen(await web.get(cancelled.headers["Location"]))
        assert "Cancelled: the request was taken back from the queue." in ended.one(role="status").text
        assert ended.one(id="state").all(of="pill")[0].text == "CANCELLED"
        assert not [form for form in ended.all("form") if form["action"].endswith("/cancel")]
        late = await web.post(f"{path}/cancel", data=waiting.form(f"{path}/cancel"))
        assert late.headers["Location"] == f"{path}?outcome=too-late"

        fields = ended.form(f"{path}/submit-again") | {"kind": "dataset"}
        again = await web.post(f"{path}/submit-again", data=fields)
        assert (again.status_code, again.headers["Location"][-18:]) == (303, "?outcome=submitted")
        new = seen(await web.get(again.headers["Location"]))
        assert "This job was submitted just now" in new.one(role="status").text
        assert facts(new)["Requested by"] == "ann"
    (request,) = requests_in(amqp_url, work_queue)
    assert (request["id"], request["resource_type"], request["user_id"]) == ("file-1", "dataset", "ann")
    assert request["job_id"] == new.one("h1").text != job_id
    records = list(mongo_client[settings.database].audit.find().sort("at", 1))
    assert [(each["act"], each["target"], each["outcome"]) for each in records] == [
        ("job.cancel", job_id, "done"),
        ("job.cancel", job_id, "refused"),
        ("job.submit", request["job_id"], "done"),
    ]


async def test_what_cannot_be_done_is_told_and_noted(
    asking: Asking,
    settings: Settings,
    database: Database,
    names: Names,
    amqp_url: str,
    work_queue: str,
    reply_queue: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_acts, "_STORED_WITHIN_S", 0.2)  # no consumer runs
    nowhere = names.extractor("nowhere")
    await tell(database, [(Status.SUBMITTED, "Submitted.", 9)], job="waits", extractor=nowhere)
    await tell(database, [(Status.STARTED, "go", 9), (Status.SKIPPED, "no", 8)], job="ended", extractor=nowhere)
    await tell(database, [(Status.STARTED, "go", 9), (Status.SKIPPED, "no", 8)], job="other", extractor=work_queue)
    here, away, nobody = asking(), asking(amqp_url=SecretStr("amqp://127.0.0.1:9/")), asking(amqp_url=None)

    async def outcome(path: str, web: httpx.AsyncClient = here) -> str:
        page = seen(await web.get(path.rpartition("/")[0]))
        fields = page.form(path) | ({"kind": "file"} if path.endswith("again") else {})
        location = (await web.post(path, data=fields)).headers["Location"]
        told = seen(await web.get(location)).one(role="status")
        assert "notice" in told["class"]
        return location.partition("?")[2]

    assert await outcome("/jobs/waits/cancel") == "outcome=no-queue"
    assert await outcome("/jobs/waits/cancel", away) == "outcome=no-broker"
    assert await outcome("/jobs/waits/cancel", nobody) == "outcome=no-broker"
    assert await outcome("/jobs/ended/submit-again") == "outcome=no-queue"
    assert await outcome("/jobs/ended/submit-again", away) == "outcome=no-broker"
    unseen = await outcome("/jobs/other/submit-again")
    (request,) = requests_in(amqp_url, work_queue)
    assert unseen == f"outcome=submitted-unseen&new={request['job_id']}"
    records = await database.collection("audit").find().sort("at", 1).to_list()
    assert [each["outcome"] for each in records] == ["refused", "failed", "refused", "refused", "failed", "done"]


async def test_nobody_submits_to_a_queue_that_is_not_the_extractors(
    web: httpx.AsyncClient, database: Database, amqp_url: str, work_queue: str
) -> None:
    await tell(database, [(Status.STARTED, "go", 9), (Status.SKIPPED, "no", 8)], job="j-1")
    page = seen(await web.get("/jobs/j-1"))

    fields = page.form("/jobs/j-1/submit-again") | {"queue": work_queue, "kind": "file"}
    answer = await web.post("/jobs/j-1/submit-again", data=fields)

    assert answer.headers["Location"] == "/jobs/j-1?outcome=no-queue"
    assert requests_in(amqp_url, work_queue) == []
    [record] = await database.collection("audit").find().to_list()
    assert (record["act"], record["outcome"], record["details"]["again"]) == ("job.submit", "refused", "j-1")


async def test_a_viewer_sees_no_button_and_may_use_none(asking: Asking, database: Database, tokens: Tokens) -> None:
    await tell(database, [(Status.SUBMITTED, "Submitted.", 9)], job="waits")
    await tell(database, [(Status.STARTED, "go", 9), (Status.SKIPPED, "no", 8)], job="ended")
    viewer, here = asking(await tokens.make(role=Role.VIEWER), web_auth="tokens"), asking()

    for job, act in (("waits", "cancel"), ("ended", "submit-again")):
        page = seen(await viewer.get(f"/jobs/{job}"))
        assert not [form for form in page.all("form") if form.attributes.get("method") == "post"]
        assert (await viewer.post(f"/jobs/{job}/{act}", data={"queue": "x", "kind": "file"})).status_code == 403
        # Without the form's token.
        assert (await here.post(f"/jobs/{job}/{act}", data={"queue": "x", "kind": "file"})).status_code == 403
    operator = asking(await tokens.make("ops", role=Role.OPERATOR), web_auth="tokens")
    assert (await operator.post("/jobs/none/cancel")).status_code == 404


async def test_a_link_cannot_put_words_of_its_own_onto_the_page(web: httpx.AsyncClient, database: Database) -> None:
    await tell(database, [(Status.STARTED, "go", 9)], job="j-1")

    page = seen(await web.get("/jobs/j-1", params={"outcome": HOSTILE[0], "new": HOSTILE[0]}))

    assert not page.all(role="status")
    assert HOSTILE[0] not in page.text

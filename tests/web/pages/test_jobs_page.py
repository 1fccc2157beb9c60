"""The page of jobs: what it lists, how it is filtered and paged, and what it says where there is nothing."""

import inspect
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from jobtrail.cli.jobs.jobs import jobs
from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.status import Status
from jobtrail.store.database import Database
from jobtrail.web.pages.jobs.list import JOBS_PER_PAGE
from jobtrail.web.paths import address
from tests.web.conftest import Asking
from tests.web.pages import trail
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, as_shown, succeed, tell


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


def job_ids(page: Element) -> list[str]:
    table = page.all("table", of="jobs")
    return [link.text for link in table[0].all("a", of="id") if "data-row" in link.attributes] if table else []


async def test_jobs_are_listed_the_latest_updated_first_with_what_is_to_be_known_of_each(
    web: httpx.AsyncClient, database: Database
) -> None:
    await succeed(database, "j-old", 7200, took_s=90, extractor="ocr", resource="file-1", user_id="ann")
    working = [(Status.STARTED, "Started.", 8.0), (Status.PROCESSING, "Read a third", 3.0)]
    await tell(database, working, job="j-new", extractor="faces", resource="file-2", percent=33.4)

    page = seen(await web.get("/jobs"))

    assert job_ids(page) == ["j-new", "j-old"]
    heading, new, new_words, old, old_words = page.one(id="jobs").rows()
    assert heading == ["Status", "Job", "Extractor", "Resource", "User", "Started", "Updated", "Elapsed", "Progress"]
    assert new[:4] == ["PROCESSING", "j-new", "faces", "file-2"]
    assert new[-1] == "33 %"
    assert new_words == ["Read a third"]
    assert old[:6] == ["SUCCEEDED", "j-old", "ocr", "file-1", "ann", "2 h ago"]
    assert old[-1] == "1 min 30 s"
    assert old_words == ["Done."]
    ticking = page.one("time", of="ticking")
    assert ticking["datetime"] == (trail.NOW - timedelta(seconds=8)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert "data-since" in ticking.attributes
    assert (page.link("j-old"), page.link("file-1"), page.link("ocr")) == (
        "/jobs/j-old",
        "/resources/file-1",
        "/extractors/ocr",
    )
    assert page["data-live"] == "/live?topic=all"
    assert "data-part" in page.one(id="jobs").attributes


async def test_each_filter_narrows_the_list_and_its_chip_takes_it_away_again(
    web: httpx.AsyncClient, database: Database
) -> None:
    await succeed(database, "j-1", 60, extractor="ocr", resource="file 1/ä", user_id="ann")
    await succeed(database, "j-2", 7200, extractor="ocr", resource="file-2", user_id="bob")
    await tell(database, [(Status.ERROR, "No such page", 30.0)], job="j-3", extractor="faces", user_id="ann")

    for filters, found in (
        ("extractor=ocr", ["j-1", "j-2"]),
        ("resource=file+1%2F%C3%A4", ["j-1"]),
        ("user=ann", ["j-3", "j-1"]),
        ("status=ERROR", ["j-3"]),
        ("status=done&status=ERROR", ["j-3", "j-1", "j-2"]),
        ("since=1h", ["j-3", "j-1"]),
        ("until=1h", ["j-2"]),
        ("q=such+PAGE", ["j-3"]),
        ("q=j-2", ["j-2"]),
    ):
        page = seen(await web.get(f"/jobs?{filters}"))
        assert job_ids(page) == found, filters
        chips = page.all("a", of="chip")
        assert len(chips) == len(filters.split("&"))
        if len(chips) == 1:
            assert chips[0]["href"] == "/jobs"

    page = seen(await web.get("/jobs?extractor=ocr&user=ann&status=SUCCEEDED"))
    assert {chip.text: parse_qs(urlsplit(chip["href"]).query) for chip in page.all("a", of="chip")} == {
        "extractor ocr \u00d7": {"user": ["ann"], "status": ["SUCCEEDED"]},
        "user ann \u00d7": {"extractor": ["ocr"], "status": ["SUCCEEDED"]},
        "status SUCCEEDED \u00d7": {"extractor": ["ocr"], "user": ["ann"]},
    }
    assert page["data-live"] == "/live?topic=extractor%3Aocr"
    assert page.one("input", name="user")["value"] == "ann"
    assert [box["value"] for box in page.all("input", name="status") if "checked" in box.attributes] == ["SUCCEEDED"]


async def test_the_page_the_command_and_rest_offer_the_same_filters(web: httpx.AsyncClient) -> None:
    fields = JobFilter.model_fields
    page = seen(await web.get("/jobs"))
    assert {box["name"] for box in page.all("input")} >= fields.keys()
    described = (await web.get("/api/openapi.json")).json()["paths"]["/api/v1/jobs"]["get"]["parameters"]
    assert {each["name"] for each in described} == {*fields, "limit", "cursor"}
    assert {*inspect.signature(jobs).parameters} == {*fields, "limit", "cursor", "as_json"}


async def test_the_address_of_a_list_holds_only_the_filters_that_are_on(web: httpx.AsyncClient) -> None:
    sent = await web.get("/jobs?q=&extractor=ocr&resource=&user=&since=1h&until=&status=ERROR&status=SKIPPED")

    assert (sent.status_code, sent.headers["Location"]) == (
        303,
        "/jobs?extractor=ocr&status=ERROR&status=SKIPPED&since=1h",
    )
    assert (await web.get("/jobs?q=")).headers["Location"] == "/jobs"


async def test_what_is_wrong_with_a_filter_is_told_next_to_it_and_the_others_stay(web: httpx.AsyncClient) -> None:
    page = seen(await web.get("/jobs?since=soon&until=2026-13-01&status=ERROR&status=nearly&user=ann"), 400)

    for field in ("since", "until"):
        box = page.one("input", name=field)
        assert box["aria-invalid"] == "true"
        assert "is not an age (30m" in page.one(id=box["aria-describedby"]).text
    assert page.one("input", name="since")["value"] == "soon"
    assert page.one(id="problem-status").text.startswith("'nearly' is not a status")
    assert page.one("input", name="user")["value"] == "ann"
    assert "aria-invalid" not in page.one("input", name="user").attributes
    assert "Correct the highlighted filters" in page.text
    assert "data-live" not in page.attributes

    page = seen(await web.get("/jobs?since=1h&until=2h"), 400)
    assert "later than the beginning" in page.one(id="problem-until").text
    page = seen(await web.get("/jobs?stalled=1&status=ERROR"), 400)
    assert "Only running jobs can be stalled" in page.one(id="problem-status").text
    assert (await web.get("/jobs?cursor=nonsense")).status_code == 400


async def test_pages_hold_every_job_once_and_only_the_first_one_is_live(
    web: httpx.AsyncClient, database: Database
) -> None:
    made = [f"j-{number:03}" for number in range(2 * JOBS_PER_PAGE + 20)]
    for number, job in enumerate(made):
        await tell(database, [(Status.ERROR, "No.", number // 2)], job=job)

    page = seen(await web.get("/jobs?status=ERROR"))
    found = [job_ids(page)]
    while older := page.all("a", rel="next"):
        page = seen(await web.get(older[0]["href"]))
        assert "data-live" not in page.attributes
        assert page.link("← First page") == "/jobs?status=ERROR"
        found.append(job_ids(page))

    assert [len(ids) for ids in found] == [50, 50, 20]
    assert sorted(job for ids in found for job in ids) == made
    assert (found[0][:2], found[-1][-1]) == (["j-001", "j-000"], made[-2])


async def test_only_stalled_jobs_are_shown_where_they_are_asked_for_with_the_reason(
    web: httpx.AsyncClient, database: Database
) -> None:
    await tell(database, [(Status.STARTED, "Started.", 4000.0)], job="j-silent")
    await tell(database, [(Status.STARTED, "Started.", 1.0)], job="j-busy")
    await succeed(database, "j-done", 5000)

    page = seen(await web.get("/jobs?stalled=1"))

    assert job_ids(page) == ["j-silent"]
    assert page.one(id="jobs").one("span", of="warn").text == "stalled"
    assert "x" in page.one("span", of="warn-text").text
    assert page.link("only stalled \u00d7") == "/jobs"


async def test_an_empty_list_says_what_to_do_next(web: httpx.AsyncClient, database: Database) -> None:
    nothing = seen(await web.get("/jobs")).one(id="jobs")
    assert nothing.one("b").text == "No job has sent an update yet"
    assert [code.text for code in nothing.all("code")] == [
        "jobtrail up --demo",
        "jobtrail doctor",
        "jobtrail submit QUEUE RESOURCE_ID",
    ]

    await succeed(database, "j-1", 60)
    no_match = seen(await web.get("/jobs?user=nobody")).one(id="jobs")
    assert no_match.one("b").text == "No job matches"
    assert no_match.link("clear them all") == "/jobs"


async def test_updates_that_name_no_job_are_below_with_a_link_that_opens_them(
    web: httpx.AsyncClient, database: Database
) -> None:
    said = [(Status.STARTED, "Started.", 7300.0), (Status.SUCCEEDED, "49 lines", 7200.0)]
    await tell(database, said, job=None, extractor="old extractor", resource="file/7")

    page = seen(await web.get("/jobs"))

    assert "are listed below" in page.one(id="jobs").text
    group = page.one(id="unnamed")
    assert group.rows()[1] == ["SUCCEEDED", "old extractor", "file/7", "2 h ago", "2", "49 lines"]
    resource = seen(await web.get(group.link("file/7")))
    assert [row[-1] for row in resource.one("table", of="event-list").rows()] == ["Message", "Started.", "49 lines"]
    assert not seen(await web.get("/jobs?user=ann")).one(id="unnamed").text


async def test_whatever_workers_send_is_text_and_links_lead_to_where_they_should(
    web: httpx.AsyncClient, database: Database
) -> None:
    for text in HOSTILE:
        said = [(Status.ERROR, f"{text} {'x' * 1_000_000}", 5.0)]
        await tell(database, said, job=f"job {text}", extractor=text, resource=text, user_id=text)
        await tell(database, said, job=None, extractor=text, resource=text)
        filters = {"q": f"job {text}", "extractor": text, "resource": text, "user": text}

        response = await web.get("/jobs", params=filters)

        page = seen(response)
        assert len(response.content) < 20_000
        _heading, facts, words = page.one(id="jobs").rows()
        told = as_shown(text)
        assert facts[1:5] == [f"job {told}", told, told, told]
        assert words[0].startswith(f"{told} xxx")
        assert page.link(f"job {told}") == address("jobs", f"job {text}")
        assert address("resources", text) in {link["href"] for link in page.all("a")}
        assert {name: page.one("input", name=name)["value"] for name in filters} == filters
        groups = seen(await web.get("/jobs", params={"resource": text})).one(id="unnamed")
        assert groups.rows()[1][1:3] == [told, told]

"""The page of one resource: its extractors, opened to their jobs, and a job to its events, by plain links."""

from datetime import timedelta

import httpx
import pytest

from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from jobtrail.models.times import clock
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.web.pages.jobs.resource import EVENTS_SHOWN, JOBS_PER_PAGE
from jobtrail.web.paths import address
from tests.web.conftest import Asking, Tokens
from tests.web.pages import trail
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, Said, as_shown, succeed, tell

NEVER = "\u2013"
SUBMITTED: list[Said] = [(Status.SUBMITTED, "Submitted.", 5.0)]


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


def ago(seconds: float) -> str:
    return clock(trail.NOW - timedelta(seconds=seconds))


async def follow(web: httpx.AsyncClient, page: Element, words: str) -> Element:
    """Follow the link that opens or closes something, by the end of its words."""
    [opener] = [link for link in page.all("a", of="opener") if link.text.endswith(words)]
    return seen(await web.get(opener["href"]))


async def test_each_extractor_is_a_row_with_its_latest_job_and_nothing_is_open(
    web: httpx.AsyncClient, database: Database
) -> None:
    await succeed(database, "j-1", 900, extractor="nca.cv.eyes", user_id="ann")
    await succeed(database, "j-2", 600, took_s=12.5, extractor="nca.cv.eyes", user_id="bob")
    await tell(database, SUBMITTED, job="j-3", extractor="siegfried")
    await succeed(database, "j-elsewhere", 100, extractor="nca.cv.eyes", resource="r-2")

    page = seen(await web.get("/resources/r-1"))

    assert page.one("h1").text == "r-1"
    table = page.one("table", of="resource").rows()
    columns = "Extractor, Latest job ID, Started, Latest update, Latest status, Elapsed, User"
    assert table[0][:7] == columns.split(", ")
    assert table[1] == ["siegfried", "j-3", NEVER, ago(5), "SUBMITTED", NEVER, "Cancel"]
    assert table[2] == ["nca.cv.eyes 2 jobs", "j-2", ago(612.5), ago(600), "SUCCEEDED", "12.5 s", "bob"]
    assert len(table) == 3
    assert {link["aria-expanded"] for link in page.all("a", of="opener")} == {"false"}
    assert page["data-live"] == "/live?topic=resource%3Ar-1"
    assert page.link("All jobs") == "/jobs?resource=r-1"


async def test_a_row_opens_to_its_jobs_newest_first_and_a_job_to_its_events_in_order(
    web: httpx.AsyncClient, database: Database
) -> None:
    await succeed(database, "j-1", 900)
    await succeed(database, "j-2", 600, took_s=10)
    await succeed(database, "j-other", 500, extractor="y")
    page = seen(await web.get("/resources/r-1"))

    page = await follow(web, page, "x")
    assert [row.all("a", of="id")[0].text for row in page.all("tr", of="job")] == ["j-2", "j-1"]
    assert not page.all("table", of="event-list")

    page = await follow(web, page, "3 updates of job j-2")
    assert page.one("table", of="event-list").rows() == [
        ["Update time", "Status", "Message"],
        [ago(612), "SUBMITTED", "Submitted."],
        [ago(610), "STARTED", "Started."],
        [ago(600), "SUCCEEDED", "Done."],
    ]
    assert page.link("View the timeline") == "/jobs/j-2"

    page = await follow(web, page, "3 updates of job j-2")
    assert not page.all("table", of="event-list")
    page = await follow(web, page, "x")
    assert not page.all("tr", of="job")


async def test_a_long_job_shows_its_latest_events_and_many_jobs_are_paged(
    web: httpx.AsyncClient, database: Database
) -> None:
    said = [(Status.STARTED, "Started.", 9000.0)]
    said += [(Status.PROCESSING, f"Page {number}", 8000.0 - number) for number in range(EVENTS_SHOWN + 50)]
    await tell(database, said, job="j-long")
    for number in range(JOBS_PER_PAGE):
        await succeed(database, f"j-{number:02}", 100 + number)

    page = seen(await web.get("/resources/r-1"))  # a single extractor is always open
    assert len(page.all("tr", of="job")) == JOBS_PER_PAGE
    page = seen(await web.get(page.link("Older jobs →")))
    [row] = page.all("tr", of="job")
    assert row.all("a", of="id")[0].text == "j-long"

    page = await follow(web, page, "151 updates of job j-long")
    events = page.one("table", of="event-list").rows()[1:]
    assert [row[-1] for row in (events[0], events[-1])] == ["Page 50", "Page 149"]
    assert f"The latest {EVENTS_SHOWN} of 151 updates" in page.text
    assert page.link("View all, with the timeline") == "/jobs/j-long"
    assert len(seen(await web.get(page.link("← Newest jobs"))).all("tr", of="job")) == JOBS_PER_PAGE


async def test_updates_without_a_job_id_are_a_group_of_their_extractor(
    web: httpx.AsyncClient, database: Database
) -> None:
    said = [(Status.PROCESSING, f"Line {number}", 500.0 - number) for number in range(EVENTS_SHOWN + 5)]
    await tell(database, said, job=None, extractor="legacy")
    await succeed(database, "j-1", 900, extractor="both")
    await tell(database, said[:3], job=None, extractor="both")

    page = seen(await web.get("/resources/r-1"))
    rows = {row[0]: row for row in page.one("table", of="resource").rows()}
    assert rows["legacy"] == ["legacy", "No job ID", ago(500), ago(396), "PROCESSING"]
    assert rows["both"][1] == "j-1"

    page = await follow(web, page, "both")
    assert not page.all("table", of="event-list")
    page = await follow(web, page, "3 updates without a job ID")
    assert [row[-1] for row in page.one("table", of="event-list").rows()[1:]] == ["Line 0", "Line 1", "Line 2"]

    page = await follow(web, page, "legacy")
    assert len(page.one("table", of="event-list").rows()) == EVENTS_SHOWN + 1
    page = seen(await web.get(page.link("Later updates →")))
    assert [row[-1] for row in page.one("table", of="event-list").rows()[1:]] == [f"Line {100 + n}" for n in range(5)]


async def test_only_what_is_submitted_can_be_cancelled_and_only_by_an_operator(
    asking: Asking, tokens: Tokens, database: Database
) -> None:
    await tell(database, SUBMITTED, job="j/new")
    await succeed(database, "j-done", 600)
    here = "/resources/r-1?open=x&job=j%2Fnew"

    page = seen(await asking().get(here))
    forms = page.all("form", action="/jobs/j%2Fnew/cancel")
    assert len(forms) == 2  # beside the job, and beside its event
    assert not page.all("form", action="/jobs/j-done/cancel")
    for form in forms:
        fields = {field["name"]: field["value"] for field in form.all("input")}
        assert fields["next"] == here
        assert fields["csrf_token"]
        assert form["data-confirm"]

    viewer = asking(await tokens.make(), web_auth="tokens")
    assert not seen(await viewer.get(here)).all("form")


async def test_a_dataset_is_linked_to_its_story_and_an_unknown_resource_says_what_to_do(
    web: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    histories = Console(database, settings).histories
    await histories.insert_one({"dataset_id": "ds-1", "status": "Pending", "created_at": trail.NOW})
    await histories.insert_one({"dataset_id": "ds-broken", "status": "Whatever"})
    for dataset in ("ds-1", "ds-broken"):
        page = seen(await web.get(f"/resources/{dataset}"))
        assert page.link("Dataset history") == f"/datasets/{dataset}"

    page = seen(await web.get("/resources/nobody"))
    assert page.one("b").text == "Unknown resource"
    assert page.one("code").text == "jobtrail submit QUEUE nobody"
    assert "Dataset history" not in page.text


async def test_hostile_ids_and_words_are_text_and_every_link_works(web: httpx.AsyncClient, database: Database) -> None:
    for text in HOSTILE:
        said = [(Status.SUBMITTED, text, 60.0), (Status.ERROR, f"{text} {'x' * 1_000_000}", 5.0)]
        await tell(database, said, job=f"job {text}", extractor=text, resource=text, user_id=text)
        await succeed(database, f"j {text}", 100, extractor="other", resource=text)
        await tell(database, said, job=None, extractor=text, resource=text)

        page = seen(await web.get(address("resources", text)))
        told = as_shown(text)
        assert page.one("h1").text == told
        page = await follow(web, page, told)
        page = await follow(web, page, f"2 updates of job job {told}")
        shown = page.one("table", of="event-list").rows()
        assert shown[1][2] == told
        assert shown[2][2].startswith(f"{told} xxx")
        assert len(shown[2][2]) <= 2020
        assert page.link("View the timeline") == address("jobs", f"job {text}")
        page = await follow(web, page, "2 updates without a job ID")
        assert page.one("table", of="event-list").rows()[1][2] == told
        jobs = seen(await web.get(page.link("All jobs")))
        assert jobs.one("input", name="resource")["value"] == text


async def test_a_resource_may_have_an_id_as_long_as_the_wire_allows(web: httpx.AsyncClient, database: Database) -> None:
    await succeed(database, "j-1", 10, resource="r" * 512, extractor="e" * 512)

    page = seen(await web.get(address("resources", "r" * 512)))

    assert page.one("h1").text == "r" * 512
    assert len(page.all("tr", of="job")) == 1

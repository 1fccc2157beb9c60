"""The pages of datasets: the lists, one dataset's story, and the messages that are tried again."""

import httpx
import pytest
from pymongo import MongoClient

from jobtrail.models.jobs.status import Status
from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.web.pages.dataset import MOMENTS_SHOWN
from jobtrail.web.pages.datasets import ROWS_PER_PAGE
from jobtrail.web.paths import address
from tests.web.conftest import Asking, Tokens
from tests.web.pages.console import add_history, add_logs, add_message, add_notification, ago, answer
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, as_shown, succeed, tell


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


@pytest.fixture
def console(database: Database, settings: Settings) -> Console:
    return Console(database, settings)


def rows(page: Element) -> list[list[str]]:
    return page.one(id="rows").rows()[1:]


async def test_the_lists_show_what_is_open_stuck_failed_and_disputed_with_counts_on_top(
    web: httpx.AsyncClient, console: Console
) -> None:
    says = {"api": answer("Analyzing", since=61), "events": answer("Complete", since=30)}
    await add_history(console, "ds-young", "Analyzing", updated_at=ago(1), progress=40)
    ruling = {"source": "api", "reason": "the API says Analyzing", "at": ago(50)}
    await add_history(console, "ds-stuck", "Analyzing", answers=says, ruling=ruling)
    await add_history(console, "ds-bad", "Failed", error_message="no images", updated_at=ago(20))
    await add_history(console, "ds-odd", "Nearly", wishlist_to_group_id="gone")

    page = seen(await web.get("/datasets"))
    tiles = page.one(id="counts").all(of="tile")
    assert {tile.one("span", of="name").text: tile.one("b").text for tile in tiles} == {
        "Open": "2",
        "Stuck": "1",
        "Unknown status": "1",
        "Messages given up": "0",
    }
    assert [row[:3] for row in rows(page)] == [
        ["Analyzing", "ds-stuck", "Winter shoes"],
        ["Analyzing", "ds-young", "Winter shoes"],
    ]
    assert rows(page)[1][3] == "40 %"
    assert page.link("ds-young") == "/datasets/ds-young"
    assert page["data-live"] == "/live?topic=datasets"

    page = seen(await web.get(page.link("Stuck")))
    [stuck] = rows(page)
    assert stuck[:4] == ["Analyzing", "ds-stuck", "Winter shoes", "5 h"]
    page = seen(await web.get("/datasets?view=stuck&since=1d"))
    assert "No dataset is stuck" in page.text

    page = seen(await web.get(page.link("Errors")))
    [failed] = rows(page)
    assert (failed[0], failed[1], failed[-1]) == ("Failed", "ds-bad", "no images")

    page = seen(await web.get(page.link("Disputed")))
    [disputed] = rows(page)
    assert disputed[:2] == ["Analyzing", "ds-stuck Winter shoes"]
    assert disputed[2].startswith("Analyzing for 1 h 1 min")
    assert disputed[3].startswith("Complete ≠ differs from the stored status for 30 min")
    assert disputed[4].startswith("The API")
    assert disputed[4].endswith("the API says Analyzing")


async def test_the_log_shows_changes_or_failures_page_by_page(web: httpx.AsyncClient, console: Console) -> None:
    history = await add_history(console, "ds-1", "Analyzing")
    change = {"from": "Pending", "to": "Analyzing", "source": "api"}
    await add_logs(
        console,
        history,
        *(change | {"created_at": ago(number), "message": f"change {number}"} for number in range(ROWS_PER_PAGE + 2)),
        {"event_type": "Failure", "to": "Complete", "message": "the group is gone"},
        {"created_at": ago(60 * 24 * 8), "message": "too old"},
    )

    page = seen(await web.get("/datasets?view=log"))
    assert rows(page)[0][1:] == ["ds-1", "Pending → Analyzing", "Winter shoes", "api", "change 0"]
    assert len(rows(page)) == ROWS_PER_PAGE
    page = seen(await web.get(page.link("More →")))
    assert [row[-1] for row in rows(page)] == ["change 50", "change 51"]
    assert page.link("← First page") == "/datasets?view=log"

    page = seen(await web.get("/datasets?view=log&type=failures"))
    assert [row[-1] for row in rows(page)] == ["the group is gone"]
    page = seen(await web.get("/datasets?view=log&since=2w"))
    assert page.one("input", name="since")["value"] == "2w"

    page = seen(await web.get("/datasets?view=log&since=soon"), 400)
    box = page.one("input", name="since")
    assert (box["value"], box["aria-invalid"]) == ("soon", "true")
    assert "an age" in page.one(id=box["aria-describedby"]).text
    for unknown in ("view=nonsense", "view=log&type=nonsense"):
        assert (await web.get(f"/datasets?{unknown}")).status_code == 404


async def test_each_empty_list_says_what_that_means(web: httpx.AsyncClient) -> None:
    for view, words in (
        ("pending", "jobtrail datasets add"),
        ("stuck", "No dataset is stuck"),
        ("errors", "Look further back"),
        ("disputed", "agree"),
        ("log", "Look further back"),
        ("messages", "All messages were sent"),
    ):
        assert words in seen(await web.get(f"/datasets?view={view}")).one(id="rows").text


async def test_a_dataset_is_found_by_its_id_and_an_unknown_one_is_not(web: httpx.AsyncClient, console: Console) -> None:
    await add_history(console, "ds 1/a")

    found = await web.get("/datasets", params={"id": " ds 1/a "})

    assert (found.status_code, found.headers["Location"]) == (303, "/datasets/ds%201%2Fa")
    assert seen(await web.get(found.headers["Location"])).one("h1").text == "ds 1/a"
    assert (await web.get("/datasets/nobody")).status_code == 404


async def test_the_page_of_a_dataset_holds_all_that_is_known_of_it(
    web: httpx.AsyncClient, console: Console, database: Database
) -> None:
    counting = [answer("Analyzing", at=ago(20 - n), progress=n * 10, source="events") for n in range(5)]
    history = await add_history(
        console,
        "ds-1",
        "Failed",
        progress=40,
        error_message="no images\nat all",
        answers={"api": answer("Failed", error_message="no images"), "events": answer(problem="api_timeout")},
        ruling={"source": "api", "reason": "the API says Failed", "at": ago(5)},
        earlier_answers=counting,
    )
    change = {"from": "Analyzing", "to": "Failed", "source": "api", "message": "the API says Failed", "run_id": "run-7"}
    await add_logs(console, history, change)
    await succeed(database, "j-1", 1500, resource="ds-1", extractor="crawler")
    batch = {"viewpoint": "price", "job_id": "b-1", "status": "Running", "progress": 30, "message": "step 3"}
    await console.batch_jobs.insert_one({"dataset_id": "ds-1", "created_at": ago(4), "updated_at": ago(3), **batch})
    await add_notification(console, "ds-1", "ann", level="failure", title="It failed")
    await add_message(console, "ds-1", "ann@example.org", user_id="ann")

    page = seen(await web.get("/datasets/ds-1"))

    assert page.one("h1").text == "ds-1"
    assert page["data-live"] == "/live?topic=dataset%3Ads-1"
    assert page.one(id="notices").text == "no images at all"
    assert "Winter shoes" in page.one(id="facts").text
    api, events = page.one(id="sources").all("div", of="says")
    assert api.text.startswith("The API says Failed no images")
    assert "differs" not in api["class"]
    assert events.text.startswith("The events say api_timeout")
    assert "differs" in events["class"]
    assert "The API decided: the API says Failed" in page.one(id="sources").text
    assert page.one(id="jobs").link("j-1") == "/jobs/j-1"
    batch_job = page.one(id="batch-jobs").rows()[1]
    assert (batch_job[:4], batch_job[-1]) == (["Running", "price", "b-1", "30 %"], "step 3")
    assert page.one(id="batch-jobs").link("b-1") == "/jobs/b-1"
    assert page.one(id="log").rows()[1][1:] == ["Analyzing → Failed", "api", "the API says Failed", "run-7"]
    told = page.one(id="told").rows()
    assert told[1][:3] == ["failure", "ann", "It failed"]
    assert told[3][:3] == ["sent", "email ann@example.org", "1"]
    kinds = [line.one("span", of="kind").text for line in page.one(id="story").all("li")]
    assert kinds == [*["asked", "job", "job", "answer", "notification", "delivery", "log"], "batch job", "batch job"]
    assert "The events said Analyzing 0 → 40 % 5 answers" in page.one(id="story").text
    assert page.link("Jobs by extractor") == "/resources/ds-1"


async def test_a_long_story_shows_its_end_and_all_of_it_where_that_is_asked_for(
    web: httpx.AsyncClient, console: Console
) -> None:
    history = await add_history(console, "ds-1")
    await add_logs(
        console,
        history,
        *({"created_at": ago(400 - number), "message": f"entry {number}"} for number in range(MOMENTS_SHOWN + 20)),
    )

    story = seen(await web.get("/datasets/ds-1")).one(id="story")
    assert len(story.all("li")) == MOMENTS_SHOWN
    assert "entry 319" in story.all("li")[-1].text
    everything = seen(await web.get(story.link("21 earlier ones"))).one(id="story")
    assert len(everything.all("li")) == MOMENTS_SHOWN + 21


async def test_a_broken_record_is_shown_with_its_flaw(web: httpx.AsyncClient, console: Console) -> None:
    await add_history(console, "ds-1", answers={"oracle": {}}, created_at=None, updated_at="soon")

    page = seen(await web.get("/datasets/ds-1"))

    assert "its history is not valid" in page.one(id="notices").text
    assert "Not watched" in rows(seen(await web.get("/datasets")))[0][-1]


async def test_messages_that_were_given_up_are_tried_again_by_operators_and_that_is_noted(
    asking: Asking, tokens: Tokens, console: Console, mongo_client: MongoClient, settings: Settings
) -> None:
    await add_history(console, "ds/1", "Complete")
    failed = {"attempts": 10, "error": "550 no such user"}
    key = await add_message(console, "ds/1", "ann@example.org", OutboxState.FAILED, **failed)
    other = await add_message(console, "ds/1", "bob@example.org", OutboxState.FAILED, **failed)
    await add_message(console, "ds/1", "carl@example.org")
    web = asking()

    page = seen(await web.get("/datasets/ds%2F1"))
    [row] = [row for row in page.one(id="told").rows() if "email ann@example.org" in row]
    assert (row[0], row[2], row[-2], row[-1]) == ("given up", "10", "550 no such user", "Retry")
    sent = await web.post("/outbox/retry", data=page.form("/outbox/retry", key=key))
    assert (sent.status_code, sent.headers["Location"]) == (303, "/datasets/ds%2F1")
    states = {entry["_id"]: entry["state"] for entry in mongo_client[settings.database].outbox.find()}
    assert (states[key], states[other]) == ("waiting", "failed")

    page = seen(await web.get("/datasets?view=messages"))
    assert {row[1] for row in rows(page)} == {"email ann@example.org", "email bob@example.org"}
    assert page.link("ds/1") == "/datasets/ds%2F1"
    everything = page.form("/outbox/retry", all="1")
    assert (await web.post("/outbox/retry", data=everything)).headers["Location"] == "/datasets?view=messages"
    assert mongo_client[settings.database].outbox.count_documents({"state": "failed"}) == 0
    acts = [(note["act"], note["target"]) for note in mongo_client[settings.database].audit.find().sort("at")]
    assert acts == [("outbox.retry", key), ("outbox.retry", "")]

    elsewhere = await web.post("/outbox/retry", data={**everything, "next": "//evil.example"})
    assert elsewhere.headers["Location"] == "/"


async def test_a_viewer_sees_what_they_were_told_themselves_and_can_try_nothing_again(
    asking: Asking, tokens: Tokens, console: Console
) -> None:
    await add_history(console, "ds-1", "Complete")
    for user in ("ann", "bob"):
        await add_notification(console, "ds-1", user)
        await add_message(console, "ds-1", f"{user}@example.org", OutboxState.FAILED, user_id=user)
    viewer = asking(await tokens.make(user="ann"), web_auth="tokens")

    page = seen(await viewer.get("/datasets/ds-1"))

    assert "bob" not in page.text
    assert page.one(id="told").rows()[3][:2] == ["given up", "email ann@example.org"]
    assert not page.all("form")
    assert (await viewer.post("/outbox/retry")).status_code == 403
    assert (await viewer.get("/datasets?view=messages")).status_code == 403
    assert "Messages" not in [link.text for link in seen(await viewer.get("/datasets")).all("a")]


async def test_hostile_words_are_text_on_every_page_of_datasets(
    web: httpx.AsyncClient, console: Console, database: Database
) -> None:
    for number, text in enumerate(HOSTILE):
        await _add_hostile(console, number, text)
        await tell(
            database, [(Status.ERROR, f"{text} {'x' * 1_000_000}", 5.0)], job=text, extractor=text, resource=text
        )

        response = await web.get(address("datasets", text))
        page = seen(response)
        assert len(response.content) < 100_000
        shown = as_shown(text)
        assert page.one("h1").text == shown
        assert page.one(id="notices").text.startswith(f"{shown} xxx")
        assert page.one(id="batch-jobs").link(shown) == address("jobs", text)
        assert page.one(id="told").rows()[1][1:3] == [shown, shown]

    for view in ("errors", "disputed", "log", "messages"):
        response = await web.get(f"/datasets?view={view}")
        listed = seen(response).one(id="rows")
        assert len(response.content) < 60_000
        for text in HOSTILE:
            assert listed.link(as_shown(text)) == address("datasets", text)


async def _add_hostile(console: Console, number: int, text: str) -> None:
    long = f"{text} {'x' * 1_000_000}"
    says = {"api": answer("Complete", error_message=text), "events": answer(problem=text, detail=text)}
    told = {"ruling": {"source": "api", "reason": text, "at": ago(1)}, "answers": says, "error_message": long}
    group = f"g {number}"
    await console.groups.insert_one({"_id": group, "name": text, "training_schedule": text})
    history = await add_history(console, text, "Failed", wishlist_to_group_id=group, updated_at=ago(1 + number), **told)
    await add_logs(console, history, {"message": long, "source": text, "run_id": text, "from": text, "to": text})
    batch = {"viewpoint": text, "job_id": text, "status": text, "message": long, "created_at": ago(1)}
    await console.batch_jobs.insert_one({"dataset_id": text, **batch})
    await add_notification(console, text, text, title=text, message=long)
    await add_message(console, text, text, OutboxState.FAILED, error=text)

"""The page behind the bell: whose notifications it shows to whom, and how they are marked as read."""

import httpx
import pytest
from pymongo import MongoClient

from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.models.token import Role
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console
from jobtrail.web.pages.notifications import ROWS_PER_PAGE
from jobtrail.web.paths import address
from tests.web.conftest import Asking, Tokens
from tests.web.pages.console import add_message, add_notification
from tests.web.pages.seen import Element, seen
from tests.web.pages.trail import HOSTILE, as_shown


@pytest.fixture
def web(asking: Asking) -> httpx.AsyncClient:
    return asking()


@pytest.fixture
def console(database: Database, settings: Settings) -> Console:
    return Console(database, settings)


def told(page: Element) -> list[str]:
    """The datasets of the notifications, in order."""
    return [item.all("a", of="id")[0].text for item in page.one(id="notifications").all("li")]


async def test_an_operator_without_a_user_sees_everybody_s_and_may_choose_one(
    web: httpx.AsyncClient, console: Console
) -> None:
    await add_notification(console, "ds-1", "ann", 30)
    await add_notification(console, "ds-2", "bob", 20, read_at=None)
    await add_notification(console, "ds-3", "ann", 10, level="failure", title="It failed")
    await console.notifications.insert_one({"type": "Other", "user_id": "ann", "title": "not ours"})

    page = seen(await web.get("/notifications"))
    assert told(page) == ["ds-3", "ds-2", "ds-1"]
    assert "for bob" in page.text
    assert page["data-live"] == "/live?topic=datasets"

    page = seen(await web.get("/notifications?user=ann"))
    assert told(page) == ["ds-3", "ds-1"]
    first = page.one(id="notifications").all("li")[0]
    assert first.text.startswith("failure Unread: It failed Dataset ds-3 is ready to use. ds-3")
    assert first.link("ds-3") == "/datasets/ds-3"
    assert page["data-live"] == "/live?topic=user%3Aann"
    assert page.one("input", id="user")["value"] == "ann"


async def test_what_else_went_out_to_the_same_user_stands_beside(web: httpx.AsyncClient, console: Console) -> None:
    await add_notification(console, "ds-1", "ann")
    await add_message(console, "ds-1", "ann@example.org", user_id="ann")
    failed = {"channel": ChannelName.PUSHER, "user_id": "ann", "error": "no route", "key": "k-1"}
    await add_message(console, "ds-1", "private-user-ann", OutboxState.FAILED, **failed)
    await add_message(console, "ds-1", "bob@example.org", user_id="bob")

    page = seen(await web.get("/notifications?user=ann"))

    assert [delivery.text for delivery in page.all("span", of="delivery")] == ["email sent", "pusher given up"]
    assert page.all("span", of="delivery")[1]["title"] == "no route"


async def test_notifications_are_marked_as_read_one_by_one_or_all_and_that_is_noted(
    web: httpx.AsyncClient, console: Console, mongo_client: MongoClient, settings: Settings
) -> None:
    keys = [await add_notification(console, f"ds-{number}", "ann", number) for number in range(3)]
    await add_notification(console, "ds-0", "bob")
    here = "/notifications?user=ann&unread=1"

    page = seen(await web.get(here))
    assert len(page.all("li", of="unread")) == 3
    done = await web.post("/notifications/read", data=page.form("/notifications/read", id=keys[1]))
    assert (done.status_code, done.headers["Location"]) == (303, here)
    page = seen(await web.get(here))
    assert told(page) == ["ds-0", "ds-2"]
    read = seen(await web.get("/notifications?user=ann")).one(id="notifications").all("li")[1]
    assert "unread" not in read.attributes.get("class", "")
    assert "read just now" in read.text or "s ago" in read.text

    await web.post("/notifications/read", data=page.form("/notifications/read", user="ann"))
    page = seen(await web.get(here))
    assert "Nothing unread" in page.text
    assert seen(await web.get(page.link("Show all"))).all("li")
    assert len(told(seen(await web.get("/notifications?user=bob&unread=1")))) == 1
    acts = [(note["act"], note["target"]) for note in mongo_client[settings.database].audit.find().sort("at")]
    assert acts == [("notification.read", keys[1]), ("notifications.read", "ann")]
    without_token = await web.post("/notifications/read", data={"user": "bob"})
    assert without_token.status_code == 403


async def test_a_viewer_sees_only_their_own_and_marks_nothing(asking: Asking, tokens: Tokens, console: Console) -> None:
    await add_notification(console, "ds-1", "ann")
    await add_notification(console, "ds-2", "bob")
    ann = asking(await tokens.make("ann", user="ann"), web_auth="tokens")
    nobody = asking(await tokens.make("nobody"), web_auth="tokens")
    operator = asking(await tokens.make("operator", user="ann", role=Role.OPERATOR), web_auth="tokens")

    response = await ann.get("/notifications")
    assert told(seen(response)) == ["ds-1"]
    assert not seen(response).all("form")
    assert 'aria-label="Notifications, 1 unread"' in response.text
    assert (await ann.get("/notifications?user=bob")).status_code == 403
    assert (await ann.post("/notifications/read", data={"user": "ann"})).status_code == 403
    assert "Your token has no user" in seen(await nobody.get("/notifications")).text
    assert told(seen(await operator.get("/notifications"))) == ["ds-1"]
    assert told(seen(await operator.get("/notifications?user=bob"))) == ["ds-2"]


async def test_pages_hold_every_notification_once_and_an_empty_page_says_when_one_comes(
    web: httpx.AsyncClient, console: Console
) -> None:
    page = seen(await web.get("/notifications?user=ann"))
    assert "No notifications yet" in page.text
    assert page.link("open datasets") == "/datasets"
    for number in range(ROWS_PER_PAGE + 3):
        await add_notification(console, f"ds-{number:02}", "ann", number // 2)

    page = seen(await web.get("/notifications?user=ann"))
    first = told(page)
    page = seen(await web.get(page.link("Older →")))

    assert (len(first), len(told(page))) == (ROWS_PER_PAGE, 3)
    assert len({*first, *told(page)}) == ROWS_PER_PAGE + 3
    assert "data-live" not in page.attributes
    assert page.link("← First page") == "/notifications?user=ann"


async def test_hostile_words_are_text(web: httpx.AsyncClient, console: Console) -> None:
    for text in HOSTILE:
        key = await add_notification(console, text, text, title=text, message=f"{text} {'x' * 1_000_000}")
        await add_message(console, text, text, OutboxState.FAILED, user_id=text, error=text)

        response = await web.get("/notifications", params={"user": text})

        page = seen(response)
        assert len(response.content) < 15_000
        [item] = page.one(id="notifications").all("li")
        told = as_shown(text)
        assert f"{told} {told} xxx" in item.text
        assert item.link(told) == address("datasets", text)
        done = await web.post("/notifications/read", data=page.form("/notifications/read", id=key))
        assert seen(await web.get(done.headers["Location"])).one("input", id="user")["value"] == text

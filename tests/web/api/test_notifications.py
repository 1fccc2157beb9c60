"""Notifications: whose are shown to whom, and that they were read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pymongo.database import Database

from jobtrail.models.datasets.dataset import Level, Notification
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.documents import notification_document
from jobtrail.store.notifications.notifications import NotificationRepository
from tests.web.api.support import all_pages, assert_problem, get
from tests.web.conftest import Asking, Tokens

AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def notifications(console: Database[Any]) -> Database[Any]:
    """Five of ann's, of which the oldest was read, two of bob's, and one of ann's that the application wrote."""
    for number, user in enumerate(["ann"] * 5 + ["bob"] * 2):
        notification = Notification(
            id=f"ds/{number}:Complete:{user}",
            user_id=user,
            dataset_id=f"ds/{number}",
            history_key=number,
            level=Level.SUCCESS,
            title=f"title {number}",
            message="done",
            created_at=AT + timedelta(minutes=number // 2),
            read_at=AT if number == 0 else None,
        )
        console["notifications"].insert_one(notification_document(notification))
    console["notifications"].insert_one({"type": "Other", "user_id": "ann", "created_at": AT})
    return console


def titles(pages: list[list[Any]]) -> str:
    return "".join(each["title"][-1] for page in pages for each in page)


async def test_notifications_are_paged_the_latest_first(operator: httpx.AsyncClient, notifications: object) -> None:
    path, name = "/notifications", "notifications"
    assert titles(await all_pages(operator, path, name, user="ann", limit=2)) == "43210"
    assert titles(await all_pages(operator, path, name, user="ann", limit=2, unread=True)) == "4321"
    page = await get(operator, path, user="ann", limit=1)
    assert page["unread"] == 4
    [told] = page["notifications"]
    assert told == {
        "id": "ds/4:Complete:ann",
        "user_id": "ann",
        "dataset_id": "ds/4",
        "level": "success",
        "title": "title 4",
        "message": "done",
        "created_at": "2026-11-22T00:02:00.000Z",
        "read_at": None,
    }


async def test_without_a_name_somebody_gets_their_own_and_an_operator_without_a_user_everybodys(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient, api: httpx.AsyncClient, notifications: object
) -> None:
    assert titles([(await get(operator, "/notifications"))["notifications"]]) == "65"
    assert titles([(await get(viewer, "/notifications"))["notifications"]]) == "43210"
    every = await get(api, "/notifications")
    assert (titles([every["notifications"]]), every["unread"]) == ("6543210", None)


async def test_a_viewer_sees_only_their_own(
    viewer: httpx.AsyncClient, asking: Asking, tokens: Tokens, notifications: object
) -> None:
    assert titles([(await get(viewer, "/notifications", user="ann"))["notifications"]]) == "43210"
    assert_problem(await viewer.get("/api/v1/notifications", params={"user": "bob"}), 403, "own user")
    async with asking(await tokens.make("nobody"), web_auth="tokens") as nobody:
        for parameters in ({}, {"user": "ann"}):
            assert_problem(await nobody.get("/api/v1/notifications", params=parameters), 403, "no user")


async def test_one_is_marked_as_read_once(
    operator: httpx.AsyncClient, notifications: Database[Any], trail: Any
) -> None:
    path = "/api/v1/notifications/ds%2F4:Complete:ann/read"
    first = await operator.post(path)
    assert first.status_code == 200, first.text
    assert first.json()["read_at"] is not None
    assert (await operator.post(path)).json() == first.json()
    assert (await get(operator, "/notifications", user="ann"))["unread"] == 3
    assert (
        (await operator.post("/api/v1/notifications/ds%2F0:Complete:ann/read")).json()["read_at"].startswith("2026-11")
    )
    other = notifications["notifications"].find_one({"type": "Other"})
    assert other is not None
    for unknown in ("nothing", str(other["_id"])):
        assert_problem(await operator.post(f"/api/v1/notifications/{unknown}/read"), 404, unknown)
    assert trail["audit"].count_documents({"act": "notification.read", "outcome": "done"}) == 3
    assert trail["audit"].count_documents({"act": "notification.read", "outcome": "refused"}) == 2


async def test_all_of_one_user_are_marked_as_read(
    operator: httpx.AsyncClient, api: httpx.AsyncClient, notifications: Database[Any], trail: Any
) -> None:
    assert (await operator.post("/api/v1/notifications/read-all", params={"user": "ann"})).json() == {"marked": 4}
    assert (await operator.post("/api/v1/notifications/read-all")).json() == {"marked": 2}
    assert (await operator.post("/api/v1/notifications/read-all")).json() == {"marked": 0}
    assert_problem(await api.post("/api/v1/notifications/read-all"), 400, "Whose?")
    assert notifications["notifications"].count_documents({"type": "Other", "read_at": {"$exists": False}}) == 1
    assert [each["target"] for each in trail["audit"].find().sort("at")] == ["ann", "bob", "bob"]


async def test_unread_ones_are_counted_up_to_a_bound_by_an_index(
    database: Any, settings: Any, console: Database[Any], mongo_client: Any
) -> None:
    collections = Console(database, settings)
    await collections.ensure_indexes()
    old = [{"_id": n, "type": "DatasetNotification", "user_id": "ann", "read_at": AT} for n in range(2000)]
    new = [{"_id": n, "type": "DatasetNotification", "user_id": "ann", "read_at": None} for n in range(2000, 2150)]
    console["notifications"].insert_many([*old, *new])
    console.command("profile", 2)
    try:
        assert await NotificationRepository(collections).unread_count("ann") == 100
        [read] = console["system.profile"].find({"command.aggregate": "notifications"})
        assert read["keysExamined"] <= 101
    finally:
        console.command("profile", 0)

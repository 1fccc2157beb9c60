"""Messages to the outside, and the record of who changed what."""

from dataclasses import replace
from typing import Any

import httpx
from pymongo.database import Database

from jobtrail.models.settings import ChannelName
from jobtrail.store.database import Database as Store
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.reconciler.messages import entry
from tests.web.api.support import all_pages, assert_problem, get


async def fill(database: Store, trail: Database[Any]) -> None:
    """One message that waits, two that were given up, one that was sent."""
    keys = ("waits", "failed-1", "failed-2", "sent")
    await OutboxRepository(database).insert([replace(entry(ChannelName.SLACK), key=key) for key in keys])
    for key in keys[1:]:
        state = key.partition("-")[0]
        trail["outbox"].update_one({"_id": key}, {"$set": {"state": state, "attempts": 10, "error": "no channel"}})


async def test_the_outbox_tells_operators_what_waits_was_given_up_and_sent(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient, database: Store, trail: Database[Any]
) -> None:
    await fill(database, trail)
    assert (await viewer.get("/api/v1/outbox")).status_code == 403
    told = await get(operator, "/outbox")
    assert sorted(each["key"] for each in told["unsent"]) == ["failed-1", "failed-2", "waits"]
    assert [each["key"] for each in told["sent"]] == ["sent"]
    assert {each["state"]: each["count"] for each in told["backlog"]} == {"waiting": 1, "failed": 2}
    failed = await get(operator, "/outbox", failed=True, limit=1)
    assert len(failed["unsent"]) == 1
    assert (failed["unsent"][0]["error"], failed["sent"]) == ("no channel", [])


async def test_messages_are_tried_again_by_key_or_all_that_were_given_up(
    operator: httpx.AsyncClient, database: Store, trail: Database[Any]
) -> None:
    await fill(database, trail)

    async def retry(body: object) -> httpx.Response:
        return await operator.post("/api/v1/outbox/retry", json=body)

    assert (await retry({"keys": ["failed-1"]})).json() == {"retried": 1}
    assert_problem(await retry({"keys": ["sent", "nothing"]}), 404, "none of these keys")
    assert_problem(await retry({"keys": []}), 400, flaw=("body", "keys"))
    assert_problem(await retry({"key": ["failed-1"]}), 400, flaw=("body", "key"))
    assert (await operator.post("/api/v1/outbox/retry")).json() == {"retried": 1}
    assert (await retry({})).json() == {"retried": 0}
    assert trail["outbox"].count_documents({"state": "waiting"}) == 3

    records = (await get(operator, "/audit", act="outbox.retry"))["records"]
    assert [(each["target"], each["details"]) for each in reversed(records)] == [
        ("failed-1", {"version": "1", "count": "1"}),
        ("sent nothing", {"version": "1", "why": "none of these keys belongs to a message that waits or was given up"}),
        ("", {"version": "1", "count": "1"}),
        ("", {"version": "1", "count": "0"}),
    ]


async def test_audit_records_are_for_operators_and_paged_the_latest_first(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient, api: httpx.AsyncClient
) -> None:
    for user in ("a", "b", "c"):
        await operator.post("/api/v1/notifications/read-all", params={"user": user})
    await api.post("/api/v1/outbox/retry")

    pages = await all_pages(operator, "/audit", "records", limit=3)
    assert [len(page) for page in pages] == [3, 1]
    latest, *others = [each for page in pages for each in page]
    assert (latest["who"], latest["act"], latest["origin"]) == ("local", "outbox.retry", "127.0.0.1")
    assert [each["target"] for each in others] == ["c", "b", "a"]
    assert {(each["who"], each["role"], each["user_id"]) for each in others} == {("operator", "operator", "bob")}
    assert (await get(operator, "/audit", act="job.cancel"))["records"] == []
    assert len((await get(operator, "/audit", since="1h"))["records"]) == 4
    assert (await get(operator, "/audit", since="2999-01-01"))["records"] == []
    assert_problem(await viewer.get("/api/v1/audit"), 403, "operator")

"""Lists of datasets, their creation log, counts, and one dataset's story."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from bson import ObjectId
from pymongo.database import Database

from tests.web.api.support import all_pages, assert_problem, get

NOW = datetime.now(UTC)


def history(console: Database[Any], dataset_id: str, status: str, *, hours_ago: float, **fields: Any) -> ObjectId:
    at = NOW - timedelta(hours=hours_ago)
    document = {"dataset_id": dataset_id, "status": status, "created_at": at, "updated_at": at, **fields}
    inserted: ObjectId = console["wishlist_dataset_histories"].insert_one(document).inserted_id
    return inserted


@pytest.fixture
def datasets(console: Database[Any]) -> None:
    said = {"status": "Complete", "at": NOW, "since": NOW}
    history(console, "fresh", "Pending", hours_ago=1)
    history(console, "old", "Analyzing", hours_ago=5, answers={"events": said})
    history(console, "broken", "Failed", hours_ago=2, error_message="no such file")
    history(console, "long-broken", "Failed", hours_ago=100, error_message="no such file")
    key = history(console, "odd", "Nonsense", hours_ago=3)
    for number in range(3):
        console["wishlist_dataset_creation_logs"].insert_one(
            {
                "wishlist_dataset_history_id": key,
                "event_type": "Failure" if number == 1 else "Status Update",
                "from": "Pending",
                "to": "Analyzing",
                "message": f"entry {number}",
                "created_at": NOW - timedelta(hours=number * 20),
            }
        )


async def test_the_views_list_who_is_looked_for(api: httpx.AsyncClient, datasets: None) -> None:
    async def ids(**parameters: object) -> list[str]:
        pages = await all_pages(api, "/datasets", "datasets", limit=1, **parameters)
        return [dataset["dataset_id"] for page in pages for dataset in page]

    assert await ids() == ["old", "fresh"]
    assert await ids(view="pending") == ["old", "fresh"]
    assert await ids(view="stuck") == ["old"]
    assert await ids(view="stuck", older_than="30m") == ["old", "fresh"]
    assert await ids(view="errors") == ["broken"]
    assert await ids(view="errors", since="1w") == ["broken", "long-broken"]
    assert await ids(view="disputed") == ["old"]
    [disputed] = (await get(api, "/datasets", view="disputed"))["datasets"]
    assert disputed["answers"]["events"]["status"] == "Complete"
    assert 300 <= disputed["minutes_stuck"] < 360  # the whole run of the tests may have taken some of them


async def test_datasets_are_counted(api: httpx.AsyncClient, datasets: None) -> None:
    assert await get(api, "/datasets/counts") == {"open": 2, "stuck": 1, "unknown": 1}
    assert await get(api, "/datasets/counts", older_than="6h") == {"open": 2, "stuck": 0, "unknown": 1}


async def test_the_creation_log_is_paged_the_latest_first(api: httpx.AsyncClient, datasets: None) -> None:
    assert [each["message"] for each in (await get(api, "/datasets/log"))["entries"]] == ["entry 0"]
    [[first], [second]] = await all_pages(api, "/datasets/log", "entries", since="1w", limit=1)
    assert [first["message"], second["message"]] == ["entry 0", "entry 2"]
    assert (first["dataset_id"], first["from"], first["to"]) == ("odd", "Pending", "Analyzing")
    [failure] = (await get(api, "/datasets/log", type="failures", since="1w"))["entries"]
    assert failure["message"] == "entry 1"


async def test_a_dataset_tells_its_story_whatever_is_wrong_with_it(api: httpx.AsyncClient, datasets: None) -> None:
    told = await get(api, "/datasets/odd")
    assert (told["dataset_id"], told["status"]) == ("odd", "Nonsense")
    assert "Nonsense" in told["flaw"]
    assert sorted(moment["kind"] for moment in told["story"]) == ["asked", "log", "log", "log"]
    assert_problem(await api.get("/api/v1/datasets/nobody"), 404, "no dataset 'nobody'")


async def test_a_viewer_is_not_shown_what_others_were_told(
    viewer: httpx.AsyncClient, operator: httpx.AsyncClient, console: Database[Any]
) -> None:
    key = history(console, "d", "Complete", hours_ago=1)
    for user in ("ann", "bob"):
        console["notifications"].insert_one(
            {
                "_id": f"d:Complete:{user}",
                "type": "DatasetNotification",
                "user_id": user,
                "dataset_id": "d",
                "wishlist_dataset_history_id": key,
                "level": "success",
                "title": "d is complete",
                "message": "",
                "created_at": NOW,
            }
        )

    async def told(client: httpx.AsyncClient) -> list[str]:
        story = (await get(client, "/datasets/d"))["story"]
        return sorted(moment["subject"] for moment in story if moment["kind"] == "notification")

    assert (await told(viewer), await told(operator)) == (["ann"], ["ann", "bob"])


async def test_a_wrong_view_is_named(api: httpx.AsyncClient) -> None:
    for path, name in (("/datasets", "view"), ("/datasets/log", "type"), ("/datasets/counts", "older_than")):
        assert_problem(await api.get(f"/api/v1{path}", params={name: "x"}), 400, flaw=("query", name))

"""A job's timeline, part by part, in both directions."""

from typing import Any

import httpx
import pytest
from pymongo.database import Database

from jobtrail.models.settings import Settings
from tests.cli.support import store_updates, update
from tests.web.api.support import assert_problem, get


@pytest.fixture
async def job(settings: Settings) -> str:
    """A job of 25 events: a start, 23 pages, the end."""
    updates = [update("a/b", f"PROCESSING: page {number}", number) for number in range(2, 25)]
    await store_updates(
        settings, [update("a/b", "STARTED: go", 1), *updates, update("a/b", "SUCCEEDED: all 23 Pages", 25)]
    )
    return "/jobs/a%2Fb/events"


def positions(page: dict[str, Any]) -> list[int]:
    return [event["position"] for event in page["events"]]


async def test_events_are_read_forwards_and_backwards(api: httpx.AsyncClient, job: str) -> None:
    first = await get(api, job, limit=10)
    assert positions(first) == list(range(1, 11))
    assert (first["previous"], first["next"]) == (None, 10)
    second = await get(api, job, limit=10, after=10)
    assert positions(second) == list(range(11, 21))
    assert (second["previous"], second["next"]) == (11, 20)
    last = await get(api, job, limit=10, after=20)
    assert positions(last) == list(range(21, 26))
    assert (last["previous"], last["next"]) == (21, None)
    assert await get(api, job, limit=10, before=21) == second
    assert positions(await get(api, job, limit=3, before=26)) == [23, 24, 25]
    begin = await get(api, job, limit=10, before=6)
    assert positions(begin) == [1, 2, 3, 4, 5]
    assert (begin["previous"], begin["next"]) == (None, 5)
    assert positions(await get(api, job, after=3, before=6)) == [4, 5]
    assert (await get(api, job, after=25))["events"] == []
    assert (await get(api, job, before=1))["events"] == []


async def test_raw_messages_are_told_as_they_came_in(api: httpx.AsyncClient, settings: Settings) -> None:
    at = "2026-11-22T00:14:36.000Z"
    sent = {"producer_id": "p-1", "sequence": 7, "instance_id": "i-1", "user_id": "ann", "percent": 50.0}
    await store_updates(settings, [update("j-1", "StatusMessage.processing: half of it", 0, **sent)])
    told = await get(api, "/jobs/j-1/messages")
    assert (told["previous"], told["next"]) == (None, None)
    (message,) = told["messages"]
    assert message["status"] == "StatusMessage.processing: half of it"
    assert {name: message[name] for name in sent} == sent
    assert (message["job_id"], message["position"], message["start"]) == ("j-1", 1, at)
    assert (message["queue"], message["message_id"]) == (settings.reply_stream, None)


async def test_raw_messages_are_paged_as_the_events_are(api: httpx.AsyncClient, job: str) -> None:
    messages = job.replace("/events", "/messages")
    page = await get(api, messages, limit=2, after=10, q="page")
    assert [message["status"] for message in page["messages"]] == ["PROCESSING: page 11", "PROCESSING: page 12"]
    assert (page["previous"], page["next"]) == (11, 12)
    answer = await api.get(f"/api/v1{messages}", params={"limit": 2})
    assert answer.links["next"]["url"] == "/api/v1/jobs/a%2Fb/messages?limit=2&after=2"
    assert_problem(await api.get("/api/v1/jobs/nowhere/messages"), 404, "nowhere")


async def test_links_lead_forwards_and_back(api: httpx.AsyncClient, job: str) -> None:
    answer = await api.get(f"/api/v1{job}", params={"limit": 10, "status": ["processing", "done"]})
    seen = positions(answer.json())
    while "next" in answer.links:
        answer = await api.get(answer.links["next"]["url"])
        seen += positions(answer.json())
    assert seen == list(range(2, 26))
    back: list[int] = positions(answer.json())
    while "prev" in answer.links:
        answer = await api.get(answer.links["prev"]["url"])
        back = [*positions(answer.json()), *back]
    assert back == seen


async def test_events_are_filtered_by_status_and_words(api: httpx.AsyncClient, job: str) -> None:
    assert positions(await get(api, job, status="start")) == [1]
    assert positions(await get(api, job, status=["STARTED", "done"])) == [1, 25]
    assert positions(await get(api, job, q="pages")) == [25]
    assert positions(await get(api, job, q="PAGE 2", limit=2, before=26)) == [23, 24]
    assert positions(await get(api, job, q="page .")) == []
    assert positions(await get(api, job, q="page", status="SUCCEEDED")) == [25]


async def test_an_event_is_told_with_its_place(api: httpx.AsyncClient, job: str) -> None:
    [event] = (await get(api, job, limit=1))["events"]
    assert event.pop("id")
    assert event == {
        "seq": 1,
        "position": 1,
        "attempt": 1,
        "status": "STARTED",
        "message": "go",
        "percent": None,
        "event_time": "2026-11-22T00:14:37.000Z",
        "received_at": "2026-11-22T00:14:37.000Z",
        "late": False,
        "replay_id": None,
        "letter_id": None,
        "maybe_repeated": None,
    }


async def test_an_event_that_may_be_a_repetition_names_the_earlier_one(
    api: httpx.AsyncClient, job: str, trail: Database[Any]
) -> None:
    first, second = (await get(api, job, limit=2))["events"]
    trail["extractions"].update_one({"id": second["id"]}, {"$set": {"maybe_repeated": first["id"]}})
    told = (await get(api, job, limit=3))["events"]
    assert [event["maybe_repeated"] for event in told] == [None, first["id"], None]


async def test_wrong_positions_and_jobs_are_refused(api: httpx.AsyncClient, job: str, trail: Database[Any]) -> None:
    for name, value in (("after", -1), ("before", "x"), ("after", 2**53), ("status", "fast"), ("limit", 0)):
        place = "status.0" if name == "status" else name
        assert_problem(await api.get(f"/api/v1{job}", params={name: value}), 400, flaw=("query", place))
    assert_problem(await api.get("/api/v1/jobs/nobody/events"), 404, "no job 'nobody'")


async def test_a_part_costs_the_same_wherever_it_is(api: httpx.AsyncClient, job: str, trail: Database[Any]) -> None:
    event = trail["extractions"].find_one({"position": 25})
    assert event is not None
    del event["_id"]
    trail["extractions"].insert_many([event | {"position": position} for position in range(26, 5000)])
    trail.command("profile", 2)
    try:
        for parameters in ({"after": 0}, {"after": 4500}, {"before": 4500}, {"before": 60}):
            await get(api, job, limit=50, **parameters)
        read = list(trail["system.profile"].find({"command.find": "extractions"}))
        assert len(read) == 4
        assert max(each["docsExamined"] for each in read) <= 51
    finally:
        trail.command("profile", 0)

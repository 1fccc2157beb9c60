"""ETag and 304: who polls gets a body only when something has changed."""

import asyncio
from typing import Any

import httpx
from pymongo.database import Database
from starlette.types import Message

from jobtrail.models.jobs.status import Status
from jobtrail.web.conditional import ConditionalAnswers
from tests.jobs import a_job, store


async def test_what_has_not_changed_is_304_without_a_body(api: httpx.AsyncClient, trail: Database[Any]) -> None:
    store(trail, *[a_job(f"job-{number}", Status.ERROR) for number in range(3)])
    first = await api.get("/api/v1/jobs", params={"limit": 2})
    tag = first.headers["ETag"]
    assert tag.startswith('W/"')
    assert first.headers["Cache-Control"] == "private, no-cache"

    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await api.get("/api/v1/jobs", params={"limit": 2}, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == tag
        assert again.headers["Cache-Control"] == "private, no-cache"
        assert again.links == first.links
        assert "Content-Type" not in again.headers

    store(trail, a_job("job-2", Status.ERROR, message="another"))
    changed = await api.get("/api/v1/jobs", params={"limit": 2}, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert changed.json()["jobs"][0]["message"] == "another"


async def test_problems_changes_and_other_paths_have_no_tag(api: httpx.AsyncClient) -> None:
    for answer in (
        await api.get("/api/v1/jobs/nobody", headers={"If-None-Match": "*"}),
        await api.post("/api/v1/outbox/retry", headers={"If-None-Match": "*"}),
        await api.get("/health", headers={"If-None-Match": "*"}),
    ):
        assert answer.status_code in (200, 404)
        assert "ETag" not in answer.headers
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.content


async def test_a_compressed_answer_is_recognised_too(api: httpx.AsyncClient, trail: Database[Any]) -> None:
    store(trail, *[a_job(f"job-{number}", Status.ERROR) for number in range(20)])
    zipped = await api.get("/api/v1/jobs", headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["Content-Encoding"] == "gzip"
    known = {"Accept-Encoding": "gzip", "If-None-Match": zipped.headers["ETag"]}
    assert (await api.get("/api/v1/jobs", headers=known)).status_code == 304


async def test_a_stream_is_passed_on_part_by_part() -> None:
    sent: list[Message] = []
    go_on = asyncio.Event()

    async def stream(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def note(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/api/v1/stream", "headers": [(b"if-none-match", b"*")]}
    running = asyncio.create_task(ConditionalAnswers(stream)(scope, receive, note))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[1]["body"] == b"data: 1\n\n"
    go_on.set()
    await running
    assert len(sent) == 3

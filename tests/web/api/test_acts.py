"""Submitting and cancelling, on a real broker."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel
from pydantic import SecretStr
from pymongo.database import Database

from jobtrail.models.jobs.status import Status
from jobtrail.models.settings import Settings
from tests.jobs import a_job, store
from tests.support import Names
from tests.web.api.support import assert_problem
from tests.web.conftest import Asking


@pytest.fixture
def broker(amqp_url: str, names: Names, settings: Settings) -> Iterator[BlockingChannel]:
    """With a workers' queue, `names.extractor()`, and the reply queue."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for queue in (names.extractor(), settings.reply_stream):
            channel.queue_declare(queue, durable=True)
        yield channel


def taken(broker: BlockingChannel, queue: str) -> list[dict[str, Any]]:
    """Take everything from a queue."""
    bodies = []
    while True:
        _, _, body = broker.basic_get(queue, auto_ack=True)
        if body is None:
            return bodies
        bodies.append(json.loads(body))


def records(trail: Database[Any]) -> list[tuple[str, str, str, str]]:
    found = trail["audit"].find().sort("at")
    return [(each["who"], each["act"], each["target"], each["outcome"]) for each in found]


async def test_a_job_is_submitted_and_taken_back(
    operator: httpx.AsyncClient, broker: BlockingChannel, trail: Database[Any], names: Names, settings: Settings
) -> None:
    job_id = f"{names.job()}/ü"
    asked = {
        "queue": names.extractor(),
        "resource_id": "f/1",
        "extractor": "shown.as",
        "user": "alice",
        "parameters": {"language": "en", "deep": [1, {"a": None}]},
        "filename": "sample.json",
        "dataset": "d-1",
        "job_id": job_id,
    }
    submitted = await operator.post("/api/v1/jobs", json=asked)

    assert submitted.status_code == 202, submitted.text
    assert submitted.json() == {"job_id": job_id, "queue": names.extractor(), "resource_id": "f/1"}
    assert submitted.headers["Location"] == f"/api/v1/jobs/{names.job()}%2F%C3%BC"
    [update] = taken(broker, settings.reply_stream)
    assert (update["job_id"], update["extractor_id"], update["message_type"]) == (job_id, "shown.as", "SUBMITTED")

    store(trail, a_job(job_id, Status.SUBMITTED, extractor_id=names.extractor(), user_id="alice"))
    cancelled = await operator.post(f"{submitted.headers['Location']}/cancel")

    assert cancelled.status_code == 200, cancelled.text
    told = {"job_id": job_id, "status": "CANCELLED", "queue": names.extractor(), "resource_id": "f/1"}
    assert cancelled.json() == told
    assert taken(broker, names.extractor()) == []
    [update] = taken(broker, settings.reply_stream)
    assert (update["job_id"], update["message_type"], update["user_id"]) == (job_id, "CANCELLED", "alice")
    assert records(trail) == [("operator", "job.submit", job_id, "done"), ("operator", "job.cancel", job_id, "done")]


async def test_only_what_is_needed_must_be_given(
    operator: httpx.AsyncClient, broker: BlockingChannel, names: Names
) -> None:
    answer = await operator.post(
        "/api/v1/jobs", json={"queue": names.extractor(), "resource_id": "d", "type": "dataset"}
    )
    assert answer.status_code == 202, answer.text
    [request] = taken(broker, names.extractor())
    assert (request["job_id"], request["extractor_id"]) == (answer.json()["job_id"], names.extractor())
    assert (request["datasetId"], request["resource_type"], request["parameters"]) == ("d", "dataset", {})


async def test_what_comes_too_late_or_is_not_there_is_refused_and_kept_on_record(
    operator: httpx.AsyncClient, broker: BlockingChannel, trail: Database[Any], names: Names
) -> None:
    store(
        trail,
        a_job("ended", Status.SUCCEEDED),
        a_job("taken", Status.STARTED, extractor_id=names.extractor()),
        a_job("nowhere", Status.SUBMITTED, extractor_id="no.such.queue"),
    )
    assert_problem(await operator.post("/api/v1/jobs/ended/cancel"), 409, "has ended already")
    assert_problem(await operator.post("/api/v1/jobs/taken/cancel"), 409, "a worker has taken it")
    assert_problem(await operator.post("/api/v1/jobs/nobody/cancel"), 404, "no job 'nobody'")
    assert_problem(await operator.post("/api/v1/jobs/nowhere/cancel"), 404, "no.such.queue")
    elsewhere = await operator.post("/api/v1/jobs/nobody/cancel", params={"queue": names.extractor()})
    assert_problem(elsewhere, 409, "does not wait in the queue")
    submitted = await operator.post("/api/v1/jobs", json={"queue": "no.such.queue", "resource_id": "f"})
    assert_problem(submitted, 404, "no queue 'no.such.queue'")
    assert [(act, target, outcome) for _, act, target, outcome in records(trail)] == [
        ("job.cancel", "ended", "refused"),
        ("job.cancel", "taken", "refused"),
        ("job.cancel", "nobody", "refused"),
        ("job.cancel", "nowhere", "refused"),
        ("job.cancel", "nobody", "refused"),
        ("job.submit", "", "refused"),
    ]


async def test_a_wrong_submission_is_refused_field_by_field(operator: httpx.AsyncClient, trail: Database[Any]) -> None:
    good = {"queue": "q", "resource_id": "f"}
    for wrong, name in (
        ({"queue": " "}, "queue"),
        ({"queue": "ü" * 128}, "queue"),
        ({"resource_id": "\x1c"}, "resource_id"),
        ({"resource_id": None}, "resource_id"),
        ({"resource_id": "x" * 513}, "resource_id"),
        ({"job_id": "x" * 129}, "job_id"),
        ({"parameters": []}, "parameters"),
        ({"type": "folder"}, "type"),
        ({"priority": 1}, "priority"),
    ):
        assert_problem(await operator.post("/api/v1/jobs", json=good | wrong), 400, flaw=("body", name))
    for body in (b'{"queue": "q", "resource_id": "f", "parameters": {"x": NaN}}', b'{"queue": "\\ud800"}'):
        answer = await operator.post("/api/v1/jobs", content=body, headers={"Content-Type": "application/json"})
        assert_problem(answer, 400)
    assert records(trail) == []


async def test_without_the_broker_nothing_is_done_and_that_is_said(
    asking: Asking, database: object, trail: Database[Any]
) -> None:
    store(trail, a_job("waiting", Status.SUBMITTED))
    for amqp_url, outcome in ((SecretStr("amqp://127.0.0.1:9/"), ["failed", "failed"]), (None, [])):
        trail["audit"].delete_many({})
        async with asking(amqp_url=amqp_url) as api:
            for path, body in (("/jobs", {"queue": "q", "resource_id": "f"}), ("/jobs/waiting/cancel", None)):
                assert_problem(await api.post(f"/api/v1{path}", json=body), 503)
        assert [each for *_, each in records(trail)] == outcome


async def test_a_viewer_can_change_nothing(
    viewer: httpx.AsyncClient, trail: Database[Any], broker: BlockingChannel, names: Names
) -> None:
    store(trail, a_job("waiting", Status.SUBMITTED, extractor_id=names.extractor()))
    for path, body in (
        ("/jobs", {"queue": names.extractor(), "resource_id": "f"}),
        ("/jobs/waiting/cancel", None),
        ("/notifications/any/read", None),
        ("/notifications/read-all", None),
        ("/outbox/retry", None),
    ):
        assert_problem(await viewer.post(f"/api/v1{path}", json=body), 403, "operator")
    assert taken(broker, names.extractor()) == []

"""Every form of update seen in the field is read, and stored under Clowder's field names."""

import json
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from jobtrail.models.settings import Settings
from tests.consumer.conftest import Bench, consuming
from tests.consumer.updates import update
from tests.support import eventually_async

CAPTURED = Path(__file__).parent / "pyclowder-3.0.8.jsonl"


def captured_updates() -> list[tuple[bytes, str | None]]:
    """The captured status updates with their correlation ids."""
    records = [json.loads(line) for line in CAPTURED.read_text().splitlines()]
    return [
        (record["body"].encode(), record["properties"].get("correlation_id"))
        for record in records
        if record["queue"] == "cap.replies"
    ]


async def test_captured_pyclowder_messages_are_stored_in_order_and_eleven_identical_starts_are_eleven_attempts(
    bench: Bench, settings: Settings
) -> None:
    captured = captured_updates()
    for body, correlation_id in captured:
        bench.publish(body, correlation_id=correlation_id)

    async with consuming(settings):
        await eventually_async(lambda: stored(bench, len(captured)))

    assert bench.messages() == [json.loads(body)["message"] for body, _id in captured]
    (retried,) = bench.database["jobs"].find({"status": "ERROR"})
    assert retried["attempts"] == 11
    assert retried["message"] == "boom: bad file"
    starts = bench.database["extractions"].find({"job_id": retried["_id"], "state": "STARTED"}).sort("position", 1)
    assert [start["attempt"] for start in starts] == list(range(1, 12))
    assert bench.database["extractions"].count_documents({"job_id": None}) == 4
    assert bench.dead_letters() == []


async def test_the_forms_of_older_senders_are_read(bench: Bench, settings: Settings) -> None:
    job = str(uuid4())
    bench.publish(
        update(job, "start", "", status="STARTED", message_type=..., message=..., start="2026-11-22T00:00:01"),
        update(job, "", "", status="Downloading file.", message_type=..., message=..., start="2026-11-22T00:00:02.5Z"),
        update(job, "", "", status="DONE", message_type=..., message=..., start="2026-11-22T01:00:03+01:00"),
        update(..., "", "", status="SUBMITTED", message_type=..., message=...),
        update(None, "done", "naïve café").decode("unicode_escape").encode("latin-1"),
    )

    async with consuming(settings):
        await eventually_async(lambda: stored(bench, 5))

    events = bench.events()
    assert [event["state"] for event in events] == ["STARTED", "PROCESSING", "SUCCEEDED", "SUBMITTED", "SUCCEEDED"]
    assert [event["message"] for event in events[:3]] == ["", "Downloading file.", ""]
    assert events[1]["status"] == "Downloading file."
    assert events[1]["start"] == datetime(2026, 11, 22, 0, 0, 2, 500_000, tzinfo=UTC)
    assert events[2]["start"] == datetime(2026, 11, 22, 0, 0, 3, tzinfo=UTC)
    assert events[4]["message"] == "naïve café"
    assert bench.job(job)["status"] == "SUCCEEDED"


async def test_secrets_are_masked_before_they_are_stored(bench: Bench, settings: Settings) -> None:
    job = str(uuid4())
    bench.publish(update(job, "processing", "GET http://clowder/api/files/1?key=r1ek3rs&x=1 failed"))

    async with consuming(settings):
        await eventually_async(lambda: stored(bench, 1))

    (event,) = bench.events()
    assert "r1ek3rs" not in str(event)
    assert event["message"] == "GET http://clowder/api/files/1?key=***&x=1 failed"


async def stored(bench: Bench, count: int) -> bool:
    return bench.database["extractions"].count_documents({}) == count

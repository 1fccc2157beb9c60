"""Fills a database with dead letters of many causes, in the form in which they are captured."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bson import ObjectId

from benchmarks.backlog import body
from benchmarks.workbench import Lane, Workbench
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.deadletters.reading import caused
from jobtrail.models.dead_letters.dead_letter import Cause, DeadLetter, LetterKind
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import HOURS_SHOWN
from jobtrail.store.dead_letters.documents import cause_fields, letter_document

_CHUNK = 5000
_INTERVAL_S = 0.1


def store_letters(workbench: Workbench, lane: Lane, count: int, causes: int) -> Sequence[str]:
    """Store letters, their groups and the groups' hours directly, then build the indexes.

    Args:
        workbench: The services.
        lane: Whose database is filled.
        count: How many letters.
        causes: Of how many causes, in turns.

    Returns:
        The groups' ids.
    """
    database = workbench.client[lane.database]
    begun_at = datetime.now(UTC) - timedelta(seconds=count * _INTERVAL_S)
    samples = [_letter(lane, number) for number in range(causes)]
    with ProgressTeller("storing letters") as progress:
        progress.total = count
        for first in range(0, count, _CHUNK):
            some = []
            for number in range(first, min(first + _CHUNK, count)):
                moment = begun_at + timedelta(seconds=number * _INTERVAL_S)
                sample = samples[number % causes]
                letter = replace(
                    sample, id=str(ObjectId()), seq=number + 1, captured_at=moment, happened_at=moment,
                    origin_seq=number + 1, key=f"{lane.stream}/{number + 1}", job_id=f"job-{number // 10}",
                )  # fmt: skip
                some.append(letter_document(letter))
            database["dead_letters"].insert_many(some, ordered=False)
            progress.note(first)
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    database["dead_letter_causes"].insert_many(
        [
            {
                "_id": sample.cause_id,
                **cause_fields(sample.cause),
                "kind": sample.kind.value,
                "sample_error": sample.error,
                "first_seen": begun_at,
                "last_seen": now,
                "counts": {"open": count // causes},
            }
            for sample in samples
        ]
    )
    database["dead_letter_hours"].insert_many(
        [
            {
                "_id": f"{sample.cause_id}/{past}",
                "cause_id": sample.cause_id,
                "hour": hour - timedelta(hours=past),
                "count": count // causes // HOURS_SHOWN,
            }
            for sample in samples
            for past in range(HOURS_SHOWN)
        ]
    )
    workbench.say("building the indexes")
    asyncio.run(_index(lane))
    return [sample.cause_id for sample in samples]


def _letter(lane: Lane, number: int) -> DeadLetter:
    now = datetime.now(UTC)
    content = body("job-1", "processing", "Step 1 of the work on this file")
    letter = DeadLetter(
        id="",
        cause_id="",
        cause=Cause(
            queue=lane.dead_letter_queue,
            origin=lane.stream,
            reason="missing_field",
            error="",
            extractor_id=f"ncsa.extractor{number}",
            version="1.0",
        ),
        kind=LetterKind.UPDATE,
        error=f"field_{chr(97 + number % 26)} is missing",
        captured_at=now,
        happened_at=now,
        seq=0,
        size_bytes=len(content),
        body=content,
    )
    caused(letter)
    return letter


async def _index(lane: Lane) -> None:
    # Building takes longer than the default timeout allows an operation.
    async with Database(lane.urls.mongo_url, lane.database, timeout_s=300) as database:
        await database.ensure_indexes()

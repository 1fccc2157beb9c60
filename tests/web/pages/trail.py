"""Jobs with their events for the tests of pages, as the consumer would have stored them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from jobtrail.models.jobs.job import Event, JobState, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.store.database import Database
from jobtrail.store.jobs.documents import event_document, job_document

NOW = datetime.now(UTC).replace(microsecond=0)
"""Set anew for each test, so it is to be read as `trail.NOW`."""
HOSTILE = [
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "a/b/../c",
    '"><img src=x onerror=alert(1)>',
    "50% of 'it' & more?q=1#x",
    "{{ 7 * 7 }}",
    "\u202egnp.exe\u202c",
]
"""Texts that are up to no good where they are not taken for text."""


def as_shown(text: str) -> str:
    """Write a hostile text as pages do: what would turn the words behind it around is a word itself."""
    return text.replace("\u202e", "[U+202E]").replace("\u202c", "[U+202C]")


Said = tuple[Status, str, float]
"""Status, message, and how many seconds ago."""


async def tell(
    database: Database,
    said: Sequence[Said],
    *,
    job: str | None,
    extractor: str = "x",
    resource: str = "r-1",
    **more: Any,
) -> JobState | None:
    """Store updates of one job, or such that name none.

    Args:
        database: Where.
        said: The updates, in order.
        job: The job.
        extractor: Its extractor.
        resource: What it works on.
        more: Further fields of the updates, such as `user_id`.
    """
    folded: JobState | None = None
    documents = []
    for seq, (state, message, ago_s) in enumerate(said, 1):
        at = NOW - timedelta(seconds=ago_s)
        update = StatusUpdate(
            extractor_id=extractor,
            resource_id=resource,
            job_id=job,
            status=f"{state}: {message}",
            state=state,
            message=message,
            event_time=at,
            **more,
        )
        placement = None
        if job is not None:
            folded, placement = fold(folded, update, at)
        event = Event(id=str(ObjectId()), queue="q", seq=seq, received_at=at, update=update, placement=placement)
        documents.append(event_document(event))
    await database.extractions.insert_many(documents)
    if folded is not None:
        await database.jobs.insert_one(job_document(folded))
    return folded


async def succeed(database: Database, job: str, ago_s: float, took_s: float = 5, **fields: Any) -> None:
    """Store a job that went well: submitted, started, done."""
    said = [
        (Status.SUBMITTED, "Submitted.", ago_s + took_s + 2),
        (Status.STARTED, "Started.", ago_s + took_s),
        (Status.SUCCEEDED, "Done.", ago_s),
    ]
    await tell(database, said, job=job, **fields)

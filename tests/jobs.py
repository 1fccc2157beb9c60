"""Jobs for tests, as the consumer's fold would leave them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.store.jobs.documents import job_document

BEGUN = datetime(2026, 11, 22, tzinfo=UTC)


def a_job(job_id: str, status: Status, at_s: float = 0, **fields: Any) -> JobState:
    """Make a job.

    Args:
        job_id: Its id.
        status: Its status.
        at_s: When its latest update came, in seconds after `BEGUN`.
        fields: Other fields.
    """
    at = BEGUN + timedelta(seconds=at_s)
    values: dict[str, Any] = {
        "job_id": job_id,
        "extractor_id": "x",
        "resource_id": "d-1",
        "status": status,
        "message": f"{status} said",
        "updated_at": at,
        "seen_at": at,
        "event_count": 1,
    }
    return JobState(**(values | fields))


def store(database: Database[Any], *jobs: JobState) -> None:
    """Write jobs as the consumer does."""
    for job in jobs:
        database["jobs"].replace_one({"_id": job.job_id}, job_document(job), upsert=True)


def lose_token(database: Database[Any], name: str) -> None:
    """Put an event that MongoDB does not know in place of a kept resume token.

    Not one of a moment without an event: from such a one it goes on, wherever the oplog holds its whole history.
    """
    with database["jobs"].watch() as stream:
        store(database, a_job("any", Status.STARTED, resource_id="a-file"))
        data = str(next(stream)["_id"]["_data"])
    unknown = {"_data": f"{data[:2]}00000001{data[10:]}"}
    assert database["resume_tokens"].update_one({"_id": name}, {"$set": {"token": unknown}}).matched_count == 1

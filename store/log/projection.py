"""Events and the jobs that they change, read and written together within one transaction."""

from collections.abc import Collection, Mapping, Sequence

from pymongo import ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.jobs.job import JobState
from jobtrail.store.database import Database, Document
from jobtrail.store.jobs.documents import job_document, job_from


async def read_jobs(
    database: Database, ids: Collection[str | None], session: AsyncClientSession
) -> dict[str, JobState]:
    """Read the jobs that a batch of updates is about: those that exist, by id. None is passed over."""
    wanted = [job_id for job_id in ids if job_id is not None]
    if not wanted:
        return {}
    found = database.jobs.find({"_id": {"$in": wanted}}, session=session)
    return {job.job_id: job for job in [job_from(document) async for document in found]}


async def write_events_and_jobs(
    database: Database, events: Sequence[Document], jobs: Mapping[str, JobState], session: AsyncClientSession
) -> None:
    """Write new events, and the jobs as they are after them."""
    if events:
        await database.extractions.insert_many(events, session=session)
    if jobs:
        changes = [ReplaceOne({"_id": job.job_id}, job_document(job), upsert=True) for job in jobs.values()]
        await database.jobs.bulk_write(changes, ordered=False, session=session)

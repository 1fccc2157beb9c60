"""What was said about one resource: extractor by extractor, job by job, update by update."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from jobtrail.models.jobs.filter import JobFilter
from jobtrail.models.jobs.job import Event
from jobtrail.operations.job_list import ListedJob, with_stalls
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.jobs import EventPage, JobRepository
from jobtrail.store.jobs.query import EventFilter
from jobtrail.store.jobs.without_job_id import UnnamedGroup, UnnamedRepository

MAX_GROUPS = 100
"""How many groups of updates without a job id are shown, the latest ones."""


@dataclass(slots=True, frozen=True, kw_only=True)
class JobEvents:
    """A job with its latest updates, in order."""

    listed: ListedJob
    page: EventPage


@dataclass(slots=True, frozen=True, kw_only=True)
class UnnamedEvents:
    """Updates that name no job, the latest ones, in order."""

    group: UnnamedGroup
    events: Sequence[Event]


@dataclass(slots=True, kw_only=True)
class ExtractorEvents:
    """What one extractor said."""

    extractor_id: str
    jobs: list[JobEvents] = field(default_factory=list)
    """The latest updated first."""
    unnamed: UnnamedEvents | None = None
    """On the first page only."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ResourceEvents:
    """One page."""

    resource_id: str
    extractors: Sequence[ExtractorEvents]
    """That of the job that was updated last comes first."""
    next: str | None
    """Cursor of the next page; None on the last."""


async def read_resource_events(
    repository: JobRepository,
    detector: StallDetector,
    resource_id: str,
    *,
    extractor_id: str | None,
    jobs: int,
    events: int,
    cursor: str | None,
) -> ResourceEvents:
    """Read one page of jobs on a resource, each with its latest events, grouped by extractor.

    The first page also has the latest events of each group of updates that name no job.
    """
    page = await repository.list(JobFilter(resource=resource_id, extractor=extractor_id), limit=jobs, cursor=cursor)
    listed, pages, unnamed = await asyncio.gather(
        with_stalls(detector, page.jobs),
        asyncio.gather(
            *(
                repository.event_page(job.job_id, EventFilter(), limit=events, before=job.event_count + 1)
                for job in page.jobs
            )
        ),
        _unnamed(repository.unnamed, resource_id, extractor_id, limit=0 if cursor else events),
    )
    by_extractor: dict[str, ExtractorEvents] = {}
    for each, part in zip(listed, pages, strict=True):
        _of(by_extractor, each.job.extractor_id).jobs.append(JobEvents(listed=each, page=part))
    for found in unnamed:
        _of(by_extractor, found.group.extractor_id).unnamed = found
    return ResourceEvents(resource_id=resource_id, extractors=list(by_extractor.values()), next=page.next)


def _of(by_extractor: dict[str, ExtractorEvents], extractor_id: str) -> ExtractorEvents:
    return by_extractor.setdefault(extractor_id, ExtractorEvents(extractor_id=extractor_id))


async def _unnamed(
    repository: UnnamedRepository, resource_id: str, extractor_id: str | None, *, limit: int
) -> Sequence[UnnamedEvents]:
    if not limit:
        return []
    groups = await repository.of_resource(resource_id)
    wanted = [group for group in groups if extractor_id in (None, group.extractor_id)][:MAX_GROUPS]
    latest = await asyncio.gather(
        *(repository.latest_events(group.extractor_id, resource_id, limit=limit) for group in wanted)
    )
    return [UnnamedEvents(group=group, events=events) for group, events in zip(wanted, latest, strict=True)]

"""What was done to a resource, extractor by extractor."""

from collections.abc import Iterable
from typing import Self

from jobtrail.operations.resource_events import ExtractorEvents, JobEvents, ResourceEvents, UnnamedEvents
from jobtrail.operations.resource_groups import JudgedGroup
from jobtrail.operations.schemas.base import Schema
from jobtrail.operations.schemas.jobs import EventSchema, JobSchema, UnnamedGroupSchema


class ResourceGroupSchema(Schema):
    """What one extractor did: `job_count` counts up to 1,000 jobs, `latest_job` is the one that was asked for last."""

    extractor_id: str
    job_count: int
    latest_job: JobSchema | None
    no_job_id: UnnamedGroupSchema | None

    @classmethod
    def of(cls, judged: JudgedGroup) -> Self:
        """Make it of a group."""
        group, latest = judged.group, judged.latest
        return cls(
            extractor_id=group.extractor_id,
            job_count=group.job_count,
            latest_job=latest and JobSchema.of(latest.job, latest.stall),
            no_job_id=group.unnamed and UnnamedGroupSchema.of(group.unnamed),
        )


class ResourceSchema(Schema):
    """One file or dataset, with each extractor that worked on it, that of the newest job first."""

    resource_id: str
    extractors: list[ResourceGroupSchema]

    @classmethod
    def of(cls, resource_id: str, groups: Iterable[JudgedGroup]) -> Self:
        """Make it of a resource's groups."""
        return cls(resource_id=resource_id, extractors=[ResourceGroupSchema.of(group) for group in groups])


class JobEventsSchema(Schema):
    """A job with its latest events, in order; `previous` is `before` of the part of its timeline in front of them."""

    job: JobSchema
    events: list[EventSchema]
    previous: int | None

    @classmethod
    def of(cls, told: JobEvents) -> Self:
        """Make it of a job and its events."""
        return cls(
            job=JobSchema.of(told.listed.job, told.listed.stall),
            events=[EventSchema.of(event) for event in told.page.events],
            previous=told.page.previous,
        )


class UnnamedEventsSchema(Schema):
    """The latest updates of an extractor that name no job, in order."""

    group: UnnamedGroupSchema
    events: list[EventSchema]

    @classmethod
    def of(cls, told: UnnamedEvents) -> Self:
        """Make it of a group and its updates."""
        return cls(group=UnnamedGroupSchema.of(told.group), events=[EventSchema.of(event) for event in told.events])


class ExtractorEventsSchema(Schema):
    """What one extractor said, job by job, the latest updated first."""

    extractor_id: str
    jobs: list[JobEventsSchema]
    no_job_id: UnnamedEventsSchema | None

    @classmethod
    def of(cls, told: ExtractorEvents) -> Self:
        """Make it of what an extractor said."""
        return cls(
            extractor_id=told.extractor_id,
            jobs=[JobEventsSchema.of(each) for each in told.jobs],
            no_job_id=told.unnamed and UnnamedEventsSchema.of(told.unnamed),
        )


class ResourceEventsSchema(Schema):
    """One page of the jobs on a resource with their events, grouped by extractor."""

    resource_id: str
    extractors: list[ExtractorEventsSchema]
    next: str | None

    @classmethod
    def of(cls, resource_id: str, told: ResourceEvents) -> Self:
        """Make it of a page."""
        extractors = [ExtractorEventsSchema.of(each) for each in told.extractors]
        return cls(resource_id=resource_id, extractors=extractors, next=told.next)

"""What was done to a resource, extractor by extractor."""

from pydantic import AliasPath, Field

from jobtrail.operations.schemas.base import Schema
from jobtrail.operations.schemas.jobs import EventSchema, JobSchema, UnnamedGroupSchema


class ResourceGroupSchema(Schema):
    """What one extractor did: `job_count` counts up to 1,000 jobs, `latest_job` is the one that was asked for last."""

    extractor_id: str = Field(validation_alias=AliasPath("group", "extractor_id"))
    job_count: int = Field(validation_alias=AliasPath("group", "job_count"))
    latest_job: JobSchema | None = Field(validation_alias="latest")
    no_job_id: UnnamedGroupSchema | None = Field(validation_alias=AliasPath("group", "unnamed"))


class ResourceSchema(Schema):
    """One file or dataset, with each extractor that worked on it, that of the newest job first."""

    resource_id: str
    extractors: list[ResourceGroupSchema]


class JobEventsSchema(Schema):
    """A job with its latest events, in order; `previous` is `before` of the part of its timeline in front of them."""

    job: JobSchema = Field(validation_alias="listed")
    events: list[EventSchema] = Field(validation_alias=AliasPath("page", "events"))
    previous: int | None = Field(validation_alias=AliasPath("page", "previous"))


class UnnamedEventsSchema(Schema):
    """The latest updates of an extractor that name no job, in order."""

    group: UnnamedGroupSchema
    events: list[EventSchema]


class ExtractorEventsSchema(Schema):
    """What one extractor said, job by job, the latest updated first."""

    extractor_id: str
    jobs: list[JobEventsSchema]
    no_job_id: UnnamedEventsSchema | None = Field(validation_alias="unnamed")


class ResourceEventsSchema(Schema):
    """One page of the jobs on a resource with their events, grouped by extractor."""

    resource_id: str
    extractors: list[ExtractorEventsSchema]
    next: str | None

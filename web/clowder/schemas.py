"""Clowder's answers. Every field of theirs is there; what JobTrail can't know is null or empty: `docs/clowder.md`."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Self

from pydantic import Field

from jobtrail.models.heartbeat import ExtractorRecord, ExtractorVersion
from jobtrail.models.jobs.job import Event, JobState
from jobtrail.models.jobs.status import Status
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.web.clowder.extractor_info import (
    CATEGORIES,
    MATURITY,
    Info,
    listener_id,
    mapping,
    mappings,
    properties,
    text,
    texts,
)

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class ClowderStatus(StrEnum):
    """Clowder 2's words for the status of a job."""

    CREATED = "CREATED"
    STARTED = "STARTED"
    PROCESSING = "PROCESSING"
    SUCCEEDED = "SUCCEEDED"
    ERROR = "ERROR"
    SKIPPED = "SKIPPED"
    RESUBMITTED = "RESUBMITTED"

    @classmethod
    def of(cls, status: Status) -> "ClowderStatus":
        """Translate a status. Clowder has no word for what was cancelled: nobody worked on it, as with SKIPPED."""
        match status:
            case Status.SUBMITTED:
                return cls.CREATED
            case Status.CANCELLED:
                return cls.SKIPPED
            case _:
                return cls(status.value)


class DetailSchema(Schema):
    """What is wrong."""

    detail: str = Field(examples=["Job 5cb2d2d3a4be0f9fd3400001 not found"])


class InvalidValueSchema(Schema):
    """What is wrong with one parameter."""

    loc: Sequence[str | int] = Field(description="Where it stands, and its name.", examples=[["query", "limit"]])
    msg: str = Field(examples=["Input should be greater than or equal to 1"])
    type: str = Field(examples=["greater_than_equal"])


class InvalidSchema(Schema):
    """What is wrong with the parameters, in FastAPI's form, which is Clowder 2's."""

    detail: Sequence[InvalidValueSchema]


class NoExtractorSchema(Schema):
    """Clowder 1's way to say that it knows no such extractor."""

    status: str = "KO"
    message: str = "Extractor info not found"


class PageMetadataSchema(Schema):
    """Which part of a list it is, and how long the list is."""

    total_count: int
    skip: int
    limit: int


class ResourceRefSchema(Schema):
    """A file or a dataset."""

    collection: str = Field(examples=["files", "datasets"])
    resource_id: str
    version: int | None


class ClowderUserSchema(Schema):
    """Somebody who asked for a job."""

    id: str | None
    email: str | None
    first_name: str = ""
    last_name: str = ""
    admin: bool = False
    admin_mode: bool = False
    read_only_user: bool = False

    @classmethod
    def of(cls, user_id: str | None) -> Self:
        """Make it of a user's id, which often is an email."""
        return cls(id=user_id, email=user_id if user_id and _EMAIL.fullmatch(user_id) else None)


class ClowderJobSchema(Schema):
    """One job."""

    id: str
    listener_id: str = Field(description="The extractor's name.")
    resource_ref: ResourceRefSchema
    creator: ClowderUserSchema
    parameters: dict[str, object] | None
    created: Timestamp
    started: Timestamp | None
    updated: Timestamp
    finished: Timestamp | None
    duration: float | None = Field(description="Seconds from the start to the latest update.")
    latest_message: str | None
    status: ClowderStatus

    @classmethod
    def of(cls, job: JobState, *, is_on_dataset: bool) -> Self:
        """Make it of a job."""
        collection = "datasets" if is_on_dataset else "files"
        return cls(
            id=job.job_id,
            listener_id=job.extractor_id,
            resource_ref=ResourceRefSchema(collection=collection, resource_id=job.resource_id, version=None),
            creator=ClowderUserSchema.of(job.user_id),
            parameters=None,
            created=job.begun_at,
            started=job.started_at,
            updated=job.updated_at,
            finished=job.finished_at,
            duration=_duration_s(job),
            latest_message=job.message or None,
            status=ClowderStatus.of(job.status),
        )


class ClowderJobPageSchema(Schema):
    """A part of the jobs."""

    metadata: PageMetadataSchema
    data: list[ClowderJobSchema]


class ClowderUpdateSchema(Schema):
    """One update of a job."""

    id: str
    job_id: str
    timestamp: Timestamp
    status: str = Field(description="The words of the update.")

    @classmethod
    def of(cls, job_id: str, event: Event) -> Self:
        """Make it of an event of a job."""
        update = event.update
        return cls(id=event.id, job_id=job_id, timestamp=update.event_time, status=update.message or update.status)


class AccessSchema(Schema):
    """Whose extractor it is. JobTrail only tells the owner; it does not keep anybody else away from it."""

    owner: str
    users: Sequence[str] = ()
    groups: Sequence[str] = ()
    datasets: Sequence[str] = ()


class ListenerSchema(Schema):
    """One extractor, as Clowder 2 shows it."""

    name: str
    version: str
    description: str
    access: AccessSchema | None
    id: str
    creator: ClowderUserSchema | None
    created: Timestamp
    modified: Timestamp
    last_alive: Timestamp = Field(serialization_alias="lastAlive")
    alive: bool
    active: bool
    properties: dict[str, object] = Field(description="What the extractor says of itself: its `extractor_info`.")

    @classmethod
    def of(cls, record: ExtractorRecord, *, owner: str | None, alive: bool) -> Self:
        """Make it of an extractor."""
        return cls(
            name=record.name,
            version=record.version,
            description=text(record.info, "description"),
            access=AccessSchema(owner=owner) if owner else None,
            id=listener_id(record.name),
            creator=None,
            created=record.first_seen,
            modified=_changed_at(record.current),
            last_alive=record.last_seen,
            alive=alive,
            active=True,
            properties=properties(record.info),
        )


class ListenerPageSchema(Schema):
    """A part of the listeners."""

    metadata: PageMetadataSchema
    data: Sequence[ListenerSchema]


class RepositorySchema(Schema):
    """Where the source code is."""

    rep_type: str = Field(serialization_alias="repType")
    rep_url: str = Field(serialization_alias="repUrl")


class ProcessSchema(Schema):
    """What sets an extractor to work."""

    dataset: list[str]
    file: list[str]
    metadata: list[str]


class ExtractorInfoSchema(Schema):
    """One extractor, as Clowder 1 shows it."""

    id: str
    name: str
    version: str
    updated: Timestamp
    description: str
    author: str
    contributors: list[str]
    contexts: object
    repository: list[RepositorySchema]
    external_services: list[str]
    libraries: list[str]
    bibtex: list[str]
    maturity: str
    labels: list[str]
    process: ProcessSchema
    categories: list[str]
    parameters: object

    @classmethod
    def of(cls, record: ExtractorRecord) -> Self:
        """Make it of an extractor."""
        info = record.info
        triggers = mapping(info, "process")
        return cls(
            id=listener_id(record.name),
            name=record.name,
            version=record.version,
            updated=_changed_at(record.current),
            description=text(info, "description"),
            author=text(info, "author"),
            contributors=texts(info, "contributors"),
            contexts=info.get("contexts", []),
            repository=_repositories(info),
            external_services=texts(info, "external_services"),
            libraries=texts(info, "libraries"),
            bibtex=texts(info, "bibtex"),
            maturity=text(info, "maturity", MATURITY),
            labels=texts(info, "labels"),
            process=ProcessSchema(
                dataset=texts(triggers, "dataset"), file=texts(triggers, "file"), metadata=texts(triggers, "metadata")
            ),
            categories=texts(info, "categories") or CATEGORIES,
            parameters=info.get("parameters", {}),
        )


def _duration_s(job: JobState) -> float | None:
    if job.started_at is None:
        return None
    return round(max(0.0, ((job.finished_at or job.updated_at) - job.started_at).total_seconds()), 3)


def _changed_at(version: ExtractorVersion) -> Timestamp:
    return version.info_changed_at or version.first_seen


def _repositories(info: Info) -> list[RepositorySchema]:
    return [
        RepositorySchema(rep_type=text(each, "repType"), rep_url=text(each, "repUrl"))
        for each in mappings(info, "repository")
    ]

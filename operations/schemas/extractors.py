"""Extractors, their versions and their instances."""

from pydantic import AliasChoices, AliasGenerator, AliasPath, ConfigDict, Field

from jobtrail.heartbeat.liveness import Basis
from jobtrail.operations.schemas.base import Schema, Timestamp


def _record_or(*others: str) -> ConfigDict:
    """Read fields that an object has not from its `record`, or from others of its attributes."""
    paths = ("record", *others)
    return ConfigDict(
        alias_generator=AliasGenerator(
            validation_alias=lambda name: AliasChoices(name, *(AliasPath(each, name) for each in paths))
        )
    )


class InstanceSchema(Schema):
    """One worker process."""

    model_config = _record_or("evidence")

    id: str = Field(validation_alias=AliasPath("record", "instance_id"))
    online: bool
    basis: Basis
    evidence: str = Field(validation_alias=AliasPath("evidence", "evidence"))
    version: str
    queue: str | None
    owner: str | None
    host: str | None
    pid: int | None
    interval_s: float | None
    first_seen: Timestamp
    last_seen: Timestamp
    jobs: list[str] | None


class VersionSchema(Schema):
    """One version of an extractor."""

    version: str
    first_seen: Timestamp
    last_seen: Timestamp


class ExtractorSchema(Schema):
    """One extractor; `extractor_info` is what its newest version says of itself."""

    model_config = _record_or()

    name: str
    version: str
    description: object = Field(
        default_factory=lambda: None, validation_alias=AliasPath("record", "info", "description")
    )
    online: bool
    instances: list[InstanceSchema]
    first_seen: Timestamp
    last_seen: Timestamp
    versions: list[VersionSchema]
    extractor_info: dict[str, object] = Field(validation_alias=AliasPath("record", "info"))


class ExtractorListSchema(Schema):
    """All extractors, by name."""

    extractors: list[ExtractorSchema]

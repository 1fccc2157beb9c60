"""Extractors, their versions and their instances."""

from typing import Self

from jobtrail.heartbeat.liveness import Basis
from jobtrail.models.heartbeat import ExtractorVersion
from jobtrail.operations.extractor_list import JudgedExtractor, JudgedInstance
from jobtrail.operations.schemas.base import Schema, Timestamp


class InstanceSchema(Schema):
    """One worker process."""

    id: str
    online: bool
    basis: Basis
    evidence: str
    version: str
    queue: str | None
    owner: str | None
    host: str | None
    pid: int | None
    interval_s: float | None
    first_seen: Timestamp
    last_seen: Timestamp
    jobs: list[str] | None

    @classmethod
    def of(cls, instance: JudgedInstance) -> Self:
        """Make it of an instance."""
        record, evidence = instance.record, instance.evidence
        return cls(
            id=record.instance_id,
            online=evidence.online,
            basis=evidence.basis,
            evidence=evidence.evidence,
            version=record.version,
            queue=record.queue,
            owner=record.owner,
            host=record.host,
            pid=record.pid,
            interval_s=record.interval_s,
            first_seen=record.first_seen,
            last_seen=record.last_seen,
            jobs=None if record.jobs is None else list(record.jobs),
        )


class VersionSchema(Schema):
    """One version of an extractor."""

    version: str
    first_seen: Timestamp
    last_seen: Timestamp

    @classmethod
    def of(cls, version: ExtractorVersion) -> Self:
        """Make it of a version."""
        return cls(version=version.version, first_seen=version.first_seen, last_seen=version.last_seen)


class ExtractorSchema(Schema):
    """One extractor; `extractor_info` is what its newest version says of itself."""

    name: str
    version: str
    description: object
    online: bool
    instances: list[InstanceSchema]
    first_seen: Timestamp
    last_seen: Timestamp
    versions: list[VersionSchema]
    extractor_info: dict[str, object]

    @classmethod
    def of(cls, extractor: JudgedExtractor) -> Self:
        """Make it of an extractor."""
        record = extractor.record
        return cls(
            name=record.name,
            version=record.version,
            description=record.info.get("description"),
            online=extractor.online,
            instances=[InstanceSchema.of(instance) for instance in extractor.instances],
            first_seen=record.first_seen,
            last_seen=record.last_seen,
            versions=[VersionSchema.of(version) for version in record.versions],
            extractor_info=record.info,
        )


class ExtractorListSchema(Schema):
    """All extractors, by name."""

    extractors: list[ExtractorSchema]

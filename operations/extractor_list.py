"""The extractors, with whether their instances are online."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jobtrail.heartbeat.liveness import Evidence, online
from jobtrail.models.heartbeat import ExtractorRecord, InstanceRecord
from jobtrail.models.settings import Settings
from jobtrail.store.extractors import ExtractorRepository


@dataclass(slots=True, frozen=True, kw_only=True)
class JudgedInstance:
    """An instance, and whether it is online."""

    record: InstanceRecord
    evidence: Evidence


@dataclass(slots=True, frozen=True, kw_only=True)
class JudgedExtractor:
    """An extractor with its instances, the live ones first."""

    record: ExtractorRecord
    instances: Sequence[JudgedInstance]

    @property
    def online(self) -> bool:
        """Whether at least one instance is online."""
        return any(instance.evidence.online for instance in self.instances)


async def list_extractors(repository: ExtractorRepository, settings: Settings) -> Sequence[JudgedExtractor]:
    """Read all extractors by name, with their instances."""
    records = await repository.list()
    watch = await repository.watch(settings.heartbeat_queue)
    now = datetime.now(UTC)
    by_extractor: dict[str, list[JudgedInstance]] = {}
    for record in await repository.instances():
        judged = JudgedInstance(record=record, evidence=online(record, now, settings, watch))
        by_extractor.setdefault(record.extractor, []).append(judged)
    for instances in by_extractor.values():
        instances.sort(key=lambda judged: not judged.evidence.online)
    return [JudgedExtractor(record=record, instances=by_extractor.get(record.name, [])) for record in records]

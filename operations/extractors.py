"""Extractors, with whether their instances are online."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from jobtrail.heartbeat.liveness import Evidence, online
from jobtrail.models.heartbeat import ExtractorRecord, InstanceRecord, MonitorWatch
from jobtrail.models.settings import Settings
from jobtrail.store.extractors import ExtractorRepository


@dataclass(slots=True, frozen=True, kw_only=True)
class ListedInstance:
    """An instance, and whether it is online."""

    record: InstanceRecord
    evidence: Evidence


@dataclass(slots=True, frozen=True, kw_only=True)
class ListedExtractor:
    """An extractor with its instances, the live ones first."""

    record: ExtractorRecord
    instances: Sequence[ListedInstance]

    @property
    def online(self) -> bool:
        """Whether at least one instance is online."""
        return any(instance.evidence.online for instance in self.instances)


async def list_extractors(repository: ExtractorRepository, settings: Settings) -> Sequence[ListedExtractor]:
    """Read all extractors by name, with their instances."""
    records = await repository.list()
    by_extractor: dict[str, list[InstanceRecord]] = {}
    for instance in await repository.instances():
        by_extractor.setdefault(instance.extractor, []).append(instance)
    watch = await repository.watch(settings.heartbeat_queue)
    return [_listed(record, by_extractor.get(record.name, []), watch, settings) for record in records]


async def find_extractor(repository: ExtractorRepository, settings: Settings, name: str) -> ListedExtractor:
    """Read one extractor with its instances; `NotFoundError` where no heartbeat of it was ever seen."""
    record = await repository.get(name)
    instances = await repository.instances(name)
    return _listed(record, instances, await repository.watch(settings.heartbeat_queue), settings)


def _listed(
    record: ExtractorRecord, instances: Iterable[InstanceRecord], watch: MonitorWatch, settings: Settings
) -> ListedExtractor:
    now = datetime.now(UTC)
    listed = [ListedInstance(record=each, evidence=online(each, now, settings, watch)) for each in instances]
    listed.sort(key=lambda instance: not instance.evidence.online)
    return ListedExtractor(record=record, instances=listed)

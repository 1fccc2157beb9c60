"""One extractor, with whether its instances are online."""

from datetime import UTC, datetime

from jobtrail.heartbeat.liveness import online
from jobtrail.models.settings import Settings
from jobtrail.operations.extractor_list import JudgedExtractor, JudgedInstance
from jobtrail.store.extractors import ExtractorRepository


async def find_extractor(repository: ExtractorRepository, settings: Settings, name: str) -> JudgedExtractor:
    """Read one extractor with its instances; `NotFoundError` where no heartbeat of it was ever seen."""
    record = await repository.get(name)
    watch = await repository.watch(settings.heartbeat_queue)
    now = datetime.now(UTC)
    instances = [
        JudgedInstance(record=each, evidence=online(each, now, settings, watch))
        for each in await repository.instances(name)
    ]
    instances.sort(key=lambda judged: not judged.evidence.online)
    return JudgedExtractor(record=record, instances=instances)

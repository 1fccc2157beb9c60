"""What each extractor did to one resource, judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.operations.job_list import ListedJob, judged
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.resources import ResourceGroup, ResourceRepository


@dataclass(slots=True, frozen=True, kw_only=True)
class JudgedGroup:
    """What one extractor did to a resource."""

    group: ResourceGroup
    latest: ListedJob | None
    """Its latest job; None where all its updates name no job."""


async def read_groups(resources: ResourceRepository, judge: StallDetector, resource_id: str) -> Sequence[JudgedGroup]:
    """Read what each extractor did to a resource, and judge its latest job.

    Args:
        resources: Reads it.
        judge: Judges jobs.
        resource_id: The file or dataset.

    Returns:
        One group per extractor, that of the newest job first.

    Raises:
        StoreError: The database can't be reached.
    """
    groups = await resources.groups(resource_id)
    listed = await judged(judge, [group.latest for group in groups if group.latest])
    by_extractor = {each.job.extractor_id: each for each in listed}
    return [JudgedGroup(group=group, latest=by_extractor.get(group.extractor_id)) for group in groups]

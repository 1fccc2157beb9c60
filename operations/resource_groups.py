"""What each extractor did to one resource, judged."""

from collections.abc import Sequence
from dataclasses import dataclass

from jobtrail.operations.job_list import ListedJob, with_stalls
from jobtrail.operations.stall_detector import StallDetector
from jobtrail.store.jobs.resources import ResourceGroup, ResourceRepository


@dataclass(slots=True, frozen=True, kw_only=True)
class ListedGroup:
    """What one extractor did to a resource."""

    group: ResourceGroup
    latest: ListedJob | None
    """Its latest job; None where all its updates name no job."""


async def read_groups(
    resources: ResourceRepository, detector: StallDetector, resource_id: str
) -> Sequence[ListedGroup]:
    """Read what each extractor did to a resource, that of the newest job first, each with its latest job."""
    groups = await resources.groups(resource_id)
    listed = await with_stalls(detector, [group.latest for group in groups if group.latest])
    by_extractor = {each.job.extractor_id: each for each in listed}
    return [ListedGroup(group=group, latest=by_extractor.get(group.extractor_id)) for group in groups]

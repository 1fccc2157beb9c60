"""Makes datasets and their groups where no console does, with an audit record."""

from jobtrail.models.datasets.seed import Seed
from jobtrail.operations.audit import Actor, AuditBook
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.seed import DatasetSeeder, Harvest


async def seed_datasets(console: Console, audit: AuditBook, actor: Actor, seed: Seed) -> Harvest:
    """Make what a seed names; what is there stays as it is."""
    target = seed.datasets[0].dataset_id if len(seed.datasets) == 1 else ""
    async with audit.act(actor, "datasets.seed", target=target) as entry:
        harvest = await DatasetSeeder(console).plant(seed)
        entry.details |= {"datasets": str(harvest.datasets.made), "groups": str(harvest.groups.made)}
    return harvest

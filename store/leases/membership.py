"""Which processes of one kind are alive, so that they share work evenly: a lease each, by the database's clock."""

from collections.abc import Sequence

from jobtrail.store.database import Database, translated
from jobtrail.store.leases.lease import Lease, has_ended, new_holder

TTL_S = 6.0
"""Seconds after which a process that was not heard of is left out."""


class Membership:
    """One process among those that share work.

    Args:
        database: The trail's database.
        group: What they share.
    """

    def __init__(self, database: Database, group: str) -> None:
        self._leases = database.leases
        self._prefix = f"member of {group} "
        self.name = new_holder()
        self._lease = Lease(database, self._prefix + self.name, ttl_s=TTL_S)

    async def renew(self) -> Sequence[str]:
        """Say that this process is alive; to be called every second or two.

        Returns:
            The processes that are, this one among them, in an order that is the same for all.

        Raises:
            StoreError: The database can't be reached.
        """
        await self._lease.acquire()
        alive = {"_id": {"$regex": f"^{self._prefix}"}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        with translated():
            leases = await self._leases.find(alive).sort("_id", 1).to_list()
        return [str(lease["_id"]).removeprefix(self._prefix) for lease in leases if not has_ended(lease)]

    async def leave(self) -> None:
        """Say that this process leaves.

        Raises:
            StoreError: The database can't be reached; it is left out after `TTL_S`.
        """
        with translated():
            await self._leases.delete_one({"_id": self._prefix + self.name})

"""Which processes of one kind are alive, so that they share work evenly: a lease each, by the database's clock."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from jobtrail.store.database import Database
from jobtrail.store.leases.lease import Lease, bounded, has_ended, new_holder

TTL_S = 6.0
"""Seconds after which a process that did not renew its membership is left out."""


class Membership:
    """One process among those of a group that share work."""

    def __init__(self, database: Database, group: str) -> None:
        self._leases = database.leases
        self._prefix = f"member of {group} "
        self.name = new_holder()
        self._lease = Lease(database, self._prefix + self.name, ttl_s=TTL_S)

    async def renew(self, pieces: Collection[str]) -> Mapping[str, Collection[str]]:
        """Say that this process is alive, and which pieces of work it knows; return what each living process knows.

        To be called every second or two. Processes differ in what they know while their settings do. One of a version
        that did not say so knows nothing: it takes what it wants by itself, and the leases keep it from doing harm.
        """
        await self._lease.acquire(pieces=sorted(pieces))
        alive = {"_id": {"$regex": f"^{self._prefix}"}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
        with bounded():
            leases: Sequence[Mapping[str, Any]] = await self._leases.find(alive).to_list()
        return {
            str(lease["_id"]).removeprefix(self._prefix): lease.get("pieces", ())
            for lease in leases
            if not has_ended(lease)
        }

    async def leave(self) -> None:
        """Say that this process leaves; otherwise it is left out after `TTL_S`."""
        with bounded():
            await self._leases.delete_one({"_id": self._prefix + self.name})

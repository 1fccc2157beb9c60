"""Leases: rights that one process at a time holds, and loses when it dies."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pymongo
from pymongo import ReturnDocument

from jobtrail.models.errors import OwnershipLostError, StoreError
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.store.database import Database, from_now, translated

T = TypeVar("T")
TTL_S = 15.0
"""Seconds after which the lease of a process that renews it no more is free again."""
_RENEWALS = 3
"""Renewals per time to live: one or two may fail."""
_ANSWER_TIMEOUT_S = 3.0
"""Seconds after which a question about a lease fails: the driver alone would wait for longer than a lease lasts."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Holder:
    """Who holds a lease."""

    name: str
    """Host and process id."""
    since: datetime


def _this_machine() -> str:
    """Name the machine and the space of process ids that this process lives in."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return uuid4().hex


_MACHINE = _this_machine()


def new_holder() -> str:
    """Make a name for a claim of this process: host, process id and a unique mark."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


@contextmanager
def bounded() -> Iterator[None]:
    """Let operations on leases fail soon, as ours: who waits for an answer must not outlive its own lease."""
    with translated(), pymongo.timeout(_ANSWER_TIMEOUT_S):
        yield


class Lease:
    """One process's claim on a right that one at a time may have, by the database's clock.

    `ttl_s` is how long it stays taken when its holder dies, in seconds.
    """

    def __init__(self, database: Database, name: str, *, ttl_s: float = TTL_S) -> None:
        self._leases = database.leases
        self._name = name
        self._ttl_s = ttl_s
        self._holder = new_holder()

    async def acquire(self, **notes: object) -> Holder | None:
        """Take the lease, or renew it with what others should know of us; return who holds it if that is another one.

        It fails with `StoreError` within seconds where the database does not answer.
        """
        free = {
            "$or": [
                {"$eq": [{"$ifNull": ["$holder", None]}, None]},
                {"$eq": ["$holder", self._holder]},
                {"$lt": ["$expires_at", "$$NOW"]},
            ]
        }
        since = {"$cond": [{"$eq": ["$holder", self._holder]}, "$held_since", "$$NOW"]}
        noted = {name: {"$literal": note} for name, note in notes.items()}
        ours = self._claim() | {"held_since": since} | noted
        claim = [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"$cond": [free, ours, {}]}]}}]
        with bounded():
            lease: Mapping[str, Any] | None = await self._leases.find_one_and_update(
                {"_id": self._name}, claim, upsert=True, return_document=ReturnDocument.AFTER
            )
        if lease is None or lease["holder"] == self._holder:
            return None
        if has_ended(lease) and await self._inherit(lease["holder"]):
            return None
        return Holder(name=lease["holder"].rpartition(":")[0], since=lease["held_since"])

    async def _inherit(self, former: str) -> bool:
        """Take the lease of a process that has ended; tell whether it is ours now."""
        claim = [{"$set": self._claim() | {"held_since": "$$NOW"}}]
        with bounded():
            taken = await self._leases.update_one({"_id": self._name, "holder": former}, claim)
        return taken.modified_count == 1

    def _claim(self) -> dict[str, object]:
        process = {"machine": _MACHINE, "pid": os.getpid()}
        return {"holder": self._holder, "process": process, "expires_at": from_now(self._ttl_s)}

    async def release(self) -> None:
        """Give the lease back, if it is ours; one that can't be given back runs out by itself."""
        with bounded():
            await self._leases.update_one(
                {"_id": self._name, "holder": self._holder}, {"$unset": {"holder": "", "expires_at": ""}}
            )

    async def while_held(self, work: Callable[[], Coroutine[None, None, T]]) -> T:
        """Do work while the lease, which must be ours, is renewed, and give it back afterwards.

        The work is cancelled when the lease is lost, which raises `OwnershipLostError`.
        """
        working = asyncio.create_task(work())
        renewing = asyncio.create_task(self._renew())
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                await cancel_and_wait(working)
                raise OwnershipLostError(f"the lease {self._name!r} was lost: another process may hold it now")
            return working.result()
        finally:
            await cancel_and_wait(working)
            await cancel_and_wait(renewing)
            with suppress(StoreError):  # it runs out by itself
                await self.release()

    async def _renew(self) -> None:
        """Renew until the lease is lost: taken by another one, or not renewed in time."""
        clock = asyncio.get_running_loop().time
        renewed_at = clock()
        while clock() < renewed_at + self._ttl_s:
            await asyncio.sleep(self._ttl_s / _RENEWALS)
            asked_at = clock()
            with suppress(StoreError):
                if await self.acquire() is not None:
                    return
                renewed_at = asked_at


def has_ended(lease: Mapping[str, Any]) -> bool:
    """Tell whether a lease's holder was a process of this machine that has ended, so that its lease is free at once."""
    process = lease.get("process") or {}
    pid = process.get("pid")
    if process.get("machine") != _MACHINE or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@asynccontextmanager
async def turn(database: Database, name: str, ttl_s: float) -> AsyncIterator[bool]:
    """Run a short critical section under a lease; yield whether it is our turn: if not, the block must do nothing.

    After `ttl_s` seconds the block's operations fail, and the turn of one that died is over.
    """
    lease = Lease(database, name, ttl_s=ttl_s)
    # The block's time begins before the lease's, and the server keeps to it too: so nothing of ours is done in the
    # next one's turn, also when we were asleep.
    with translated(), pymongo.timeout(ttl_s):
        ours = await lease.acquire() is None
        try:
            yield ours
        finally:
            if ours:
                with suppress(StoreError):  # it is over by itself
                    await lease.release()

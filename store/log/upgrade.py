"""Brings a database of an earlier version up to this one: once, by itself, before the first update is stored."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from jobtrail.models.errors import StoreError
from jobtrail.runtime.tasks import unless
from jobtrail.store.database import Database, translated
from jobtrail.store.leases.lease import Lease
from jobtrail.store.log.rebuild import Rebuild

log = structlog.get_logger()

_ID = "schema"
_VERSION = 2
"""Of what is stored. Before 2, what is derived of a job's events was other than it is now."""
_REPORT_EVENTS = 50_000


async def upgrade(database: Database, stop: asyncio.Event) -> bool:
    """Create missing indexes and rebuild the jobs of an earlier version; return whether that is done.

    It is not if it was time to stop, and goes on with the next start. Another process at it is a `StoreError`.
    """
    positions = database.collection("positions")
    with translated():
        schema: Mapping[str, Any] = await positions.find_one({"_id": _ID}) or {}
        if schema.get("version", 1) < _VERSION:
            await _end_former_writers(database)
    await database.ensure_indexes()
    if schema.get("version", 1) >= _VERSION:
        return True
    lease = Lease(database, "upgrade")
    holder = await lease.acquire()
    if holder is not None:
        raise StoreError(f"{holder.name} upgrades the database; waiting for it")
    return await unless(stop, lease.while_held(lambda: _upgrade(database)))


async def _upgrade(database: Database) -> None:
    """Rebuild, then note the version: both under the lease, so that no two processes do it."""
    await _rebuild(database)
    with translated():
        await database.collection("positions").update_one({"_id": _ID}, {"$set": {"version": _VERSION}}, upsert=True)


async def _end_former_writers(database: Database) -> None:
    """End transactions that killed consumers left open: no index could be made before they time out."""
    former: list[Mapping[str, Any]] = [
        lease async for lease in database.leases.find({"_id": {"$regex": "^reply queue "}}, {"session": 1})
    ]
    if former:
        await database.client.admin.command("killSessions", [{"id": lease["session"]} for lease in former])
        await database.leases.delete_many({"_id": {"$in": [lease["_id"] for lease in former]}})


async def _rebuild(database: Database) -> None:
    """Rebuild the jobs, whose form may have changed since their events were stored."""
    reported = 0

    def report(events: int) -> None:
        nonlocal reported
        if events >= reported + _REPORT_EVENTS:
            reported = events
            log.info("upgrading jobs", action="store.upgrading", events=events)

    with translated():
        is_empty = await database.extractions.find_one({}, {"_id": 1}) is None
    if is_empty:
        return
    log.info("upgrading jobs of an earlier version", action="store.upgrading", events=0)
    result = await Rebuild(database, report).rebuild()
    log.info("jobs upgraded", action="store.upgraded", jobs=result.jobs, changed=result.changed, removed=result.removed)

"""A database of an earlier version is brought up to this one, once."""

import asyncio

import pytest

from jobtrail.models.errors import OwnershipLostError, StoreError
from jobtrail.store.database import Database
from jobtrail.store.leases.lease import Lease
from jobtrail.store.log import upgrade as module
from jobtrail.store.log.upgrade import upgrade
from tests.support import WAIT_S


async def version(database: Database) -> object:
    return (await database.collection("positions").find_one({"_id": "schema"}) or {}).get("version")


async def test_a_new_database_is_of_this_version(database: Database) -> None:
    assert await upgrade(database, asyncio.Event())
    assert await version(database) == 2


async def test_it_ends_when_it_is_time_to_stop_and_goes_on_with_the_next_start(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()

    async def rebuild(_database: Database) -> None:
        stop.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(module, "_rebuild", rebuild)
        assert not await asyncio.wait_for(upgrade(database, stop), WAIT_S)
    assert await version(database) is None
    assert await Lease(database, "upgrade").acquire() is None, "the next one need not wait for it"


async def test_who_loses_the_lease_does_not_note_the_version(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def lose_the_lease(_database: Database) -> None:
        await database.leases.update_one({"_id": "upgrade"}, {"$set": {"holder": "other:1:x"}})
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "_rebuild", lose_the_lease)
    monkeypatch.setattr("jobtrail.store.leases.lease._RENEWALS", 100)
    with pytest.raises(OwnershipLostError):
        await asyncio.wait_for(upgrade(database, asyncio.Event()), WAIT_S)
    assert await version(database) is None


async def test_another_process_at_it_is_waited_for(database: Database) -> None:
    await Lease(database, "upgrade").acquire()
    with pytest.raises(StoreError, match="upgrades the database"):
        await upgrade(database, asyncio.Event())

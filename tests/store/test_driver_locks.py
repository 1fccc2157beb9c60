"""A cancellation while the driver waits for a server leaves its locks free."""

import asyncio

import pytest
from pymongo.lock import _async_cond_wait, _async_create_condition, _async_create_lock

from jobtrail.store import driver_locks

WAIT_S = 0.02


@pytest.mark.parametrize("cancelled_after", range(4))
async def test_whoever_is_cancelled_when_its_time_is_over_leaves_no_lock_taken(cancelled_after: int) -> None:
    driver_locks.mend()
    lock = _async_create_lock()
    condition = _async_create_condition(lock)

    async def select_server() -> None:
        async with lock:
            await _async_cond_wait(condition, WAIT_S)

    selecting = asyncio.create_task(select_server())
    await asyncio.sleep(0)
    async with lock:  # so that it can't go on when its time is over
        await asyncio.sleep(2 * WAIT_S)
        for _ in range(cancelled_after):
            selecting.cancel()
            await asyncio.sleep(0)
    await asyncio.wait((selecting,), timeout=5)
    assert selecting.done()
    assert selecting.cancelled() == (cancelled_after > 0)
    async with asyncio.timeout(5), lock:
        pass


async def test_waiting_ends_by_itself_or_when_told() -> None:
    driver_locks.mend()
    condition = _async_create_condition(_async_create_lock())
    async with condition:
        assert not await _async_cond_wait(condition, WAIT_S)
        asyncio.get_running_loop().call_soon(condition._notify, 1)
        assert await _async_cond_wait(condition, 5)

"""The loop of sessions: outages are waited out, all else comes through."""

import asyncio

import pytest

from jobtrail.models.errors import StoreError
from jobtrail.runtime.reconnect import Reconnect
from jobtrail.runtime.tasks import unless
from tests.support import WAIT_S


async def test_sessions_follow_one_another_until_it_is_time_to_stop() -> None:
    stop, told = asyncio.Event(), []
    reconnect = Reconnect(stop, 0.01, lambda error, wait_s: told.append((str(error), wait_s <= 0.2)))
    failures: list[int] = []

    async def session() -> None:
        failures.append(reconnect.failures)
        if len(failures) == 3:
            reconnect.note_success()
        if len(failures) == 5:
            stop.set()
            return
        raise StoreError("away")

    await asyncio.wait_for(reconnect.run(session), WAIT_S)
    assert failures == [0, 1, 2, 1, 2]
    assert told == [("away", True)] * 4


async def test_a_defect_comes_through() -> None:
    async def session() -> None:
        raise ValueError("a defect")

    with pytest.raises(ValueError, match="a defect"):
        await Reconnect(asyncio.Event(), 0.01, lambda _error, _wait_s: None).run(session)


async def test_what_must_be_done_once_is_tried_until_it_is() -> None:
    tries = iter([StoreError("away"), None])

    async def session() -> None:
        if error := next(tries):
            raise error

    assert await Reconnect(asyncio.Event(), 0.01, lambda _error, _wait_s: None).until_done(session)


async def test_work_is_done_unless_it_is_time_to_stop() -> None:
    stop, cancelled = asyncio.Event(), asyncio.Event()
    assert await unless(stop, asyncio.sleep(0))

    async def work() -> None:
        try:
            asyncio.get_running_loop().call_soon(stop.set)
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert not await asyncio.wait_for(unless(stop, work()), WAIT_S)
    assert cancelled.is_set()

"""Ends tasks for good."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_AGAIN_AFTER_S = 5.0
"""Seconds after which a task is cancelled again: longer than it takes to clean up."""


async def cancel_and_wait(task: asyncio.Task[T]) -> None:
    """Cancel a task and wait until it has ended, whatever its result.

    Before Python 3.12 `asyncio.wait_for`, through which the driver reads every answer, loses a cancellation that comes
    together with the answer. A loop would then go on for ever, and so would whoever waits for its end.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN_AFTER_S)


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Do some work unless it is time to stop, which cancels it; return whether the work was done."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        working.result()
        return True
    finally:
        stopping.cancel()
        await cancel_and_wait(working)

"""Ends tasks for good."""

import asyncio
from typing import TypeVar

T = TypeVar("T")

_AGAIN_AFTER_S = 5.0
"""Seconds after which a task is cancelled anew: longer than it takes to clean up."""


async def end(task: asyncio.Task[T]) -> None:
    """Cancel a task and wait until it has ended.

    Before Python 3.12 `asyncio.wait_for`, through which the driver reads every answer, loses a cancellation that comes
    together with the answer. A loop would then go on for ever, and so would whoever waits for its end.

    Args:
        task: The task; its result is not asked for.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=_AGAIN_AFTER_S)

"""Mends how the driver waits for its conditions under Python 3.11, so that a cancellation leaves no lock taken."""

import asyncio
import sys
from collections.abc import Awaitable
from typing import TypeVar

import pymongo.lock

T = TypeVar("T")


def mend() -> None:
    """Have the driver wait as it does under Python 3.12 and later; there nothing is changed.

    Before, `asyncio.wait_for` waits in a task of its own. Where the time is over and whoever waits is cancelled while
    that task takes the condition's lock back, the task stays behind, and with it the lock: from then on every
    operation of that client waits for ever, and so does its end. See https://github.com/python/cpython/issues/86296.
    """
    if sys.version_info < (3, 12):
        pymongo.lock.wait_for = _wait_for  # type: ignore[assignment,attr-defined]  # awaitables are all it is given


async def _wait_for(awaitable: Awaitable[T], timeout: float | None) -> T:
    async with asyncio.timeout(timeout):
        return await awaitable

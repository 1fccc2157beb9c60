"""Runs the demo's asynchronous programs."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress

from jobtrail.runtime.tasks import cancel_and_wait


def run_until_sigterm(work: Coroutine[None, None, None]) -> None:
    """Run a program until it ends; SIGTERM cancels it, which is a clean end."""
    asyncio.run(_run(work))


async def _run(work: Coroutine[None, None, None]) -> None:
    task = asyncio.create_task(work)
    ends: list[asyncio.Task[None]] = []
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: ends.append(asyncio.create_task(cancel_and_wait(task)))
    )
    with suppress(asyncio.CancelledError):
        await task

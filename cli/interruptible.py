"""Runs the asynchronous part of a command so that Ctrl-C ends it, whatever it waits for."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

_AGAIN_S = 0.5


def run_interruptible(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end; Ctrl-C raises KeyboardInterrupt."""
    interrupted = False

    async def watched() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            if task is not None:
                task.cancel()
            # Repeatedly, because one that came while a change stream was being opened got lost.
            loop.call_later(_AGAIN_S, interrupt)

        loop.add_signal_handler(signal.SIGINT, interrupt)
        return await work

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise

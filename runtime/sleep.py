"""How services wait: for some time, but no longer than until something happens."""

import asyncio


async def pause(timeout_s: float, *until: asyncio.Event) -> None:
    """Wait.

    Args:
        timeout_s: How long, in seconds.
        *until: Events, at least one; the first that is set ends the wait.
    """
    waits = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

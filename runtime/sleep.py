"""How services wait: for some time, but no longer than until something happens."""

import asyncio


async def sleep_until(timeout_s: float, *until: asyncio.Event) -> None:
    """Sleep for some seconds, or until the first of some events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in until]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()

"""What the yardsticks, processes that are compared with the consumer, have in common."""

import asyncio
import signal
from collections.abc import Callable, Coroutine

from jobtrail.models.settings import Settings, load_settings
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.store.database import Database


async def run_until_sigterm(work: Callable[[Settings, Database], Coroutine[None, None, None]]) -> None:
    """Work until SIGTERM.

    Args:
        work: Takes in for ever.
    """
    settings, stop = load_settings(), asyncio.Event()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        working, stopping = asyncio.create_task(work(settings, database)), asyncio.create_task(stop.wait())
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopping):
            await cancel_and_wait(task)
        if not working.cancelled():
            working.result()

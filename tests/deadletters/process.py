"""The service of dead letters, or one replay, as a process without the command line: `python -m …process`."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

from jobtrail.deadletters.replayer import Replayer
from jobtrail.deadletters.service import run_dead_letters
from jobtrail.models.settings import Settings, load_settings
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database

_TRY_AGAIN_S = 0.1


async def main() -> None:
    """Work until SIGTERM, or until the replay is at its end."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = load_settings()
    ready = Path(os.environ["READY_FILE"])
    if os.environ["REPLAY_ID"]:
        await replay(settings, os.environ["REPLAY_ID"], ready.touch, stop)
    else:
        await run_dead_letters(settings, stop, on_ready=lambda _port: ready.touch())


async def replay(settings: Settings, replay_id: str, on_ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Run one replay; while another process runs it, wait for it."""
    async with Database(settings.require_mongo_url(), settings.database) as database:
        replayer = Replayer(settings, database, stop)
        on_ready()
        while not stop.is_set() and not await replayer.run(replay_id):
            await sleep_until(_TRY_AGAIN_S, stop)


if __name__ == "__main__":
    asyncio.run(main())

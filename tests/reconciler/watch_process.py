"""A watch as a process: `python -m tests.reconciler.watch_process`.

It counts what it is told in the collection `told`, and kills itself where `DIE` says: `before` or `after` it counted
the dataset `DIE_AT`.
"""

import asyncio
import os
import signal
from collections.abc import Sequence

from jobtrail.models.settings import load_settings
from jobtrail.reconciler.events import EventWatch
from jobtrail.store.database import Database
from jobtrail.store.datasets.console import Console


async def main() -> None:
    """Watch until SIGTERM."""
    settings = load_settings()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with Database(settings.require_mongo_url(), settings.database) as database:

        async def on_datasets(dataset_ids: Sequence[str]) -> None:
            fatal = os.environ.get("DIE_AT") in dataset_ids
            if fatal and os.environ["DIE"] == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            for dataset_id in dataset_ids:
                await database.collection("told").update_one(
                    {"_id": dataset_id}, {"$inc": {"times": 1}, "$addToSet": {"by": os.getpid()}}, upsert=True
                )
            if fatal:
                os.kill(os.getpid(), signal.SIGKILL)

        async def on_take_over(_purpose: str) -> None:
            return

        watch = EventWatch(Console(database, settings), settings, on_datasets, on_take_over)
        await watch.run(stop)


if __name__ == "__main__":
    asyncio.run(main())

"""A dispatcher as a process of its own, to be killed: `python -m tests.reconciler.dispatch_process`."""

import asyncio

from jobtrail.models.settings import load_settings
from jobtrail.store.database import Database
from tests.reconciler.messages import dispatcher


async def main() -> None:
    settings = load_settings()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await dispatcher(settings, database).run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main())

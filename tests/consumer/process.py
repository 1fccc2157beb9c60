"""A consumer as a process, without the command line around it: `python -m tests.consumer.process`."""

import asyncio
import signal

from consumer.service import run_consumer
from models.settings import load_settings


async def main() -> None:
    """Consume until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_consumer(load_settings(), stop)


if __name__ == "__main__":
    asyncio.run(main())

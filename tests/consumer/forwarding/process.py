"""A forwarder as a process, without the command line around it: `python -m tests.consumer.forwarding.process`."""

import asyncio
import os
import signal
from pathlib import Path

from jobtrail.consumer.forwarding.service import run_forwarder
from jobtrail.models.settings import load_settings


async def main() -> None:
    """Forward until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_forwarder(load_settings(), stop, on_ready=lambda _port: Path(os.environ["READY_FILE"]).touch())


if __name__ == "__main__":
    asyncio.run(main())

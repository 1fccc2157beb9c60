"""Keeps a job's updates in order when the number of partitions changes: what was sent before comes first.

With another number, a job that is under way may go on in another stream. So for some time after a change, a batch waits
until everything is stored that had arrived in the streams from which its jobs may come: drain, then move. Streams of a
former layout go on to be read, whatever still comes.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from heartbeat.pause import pause
from store.database import Database
from store.layout import Layout, LayoutRepository
from store.log import Log

log = structlog.get_logger()

_MARGIN = timedelta(seconds=1)
"""How long a confirmed update may take until the owner of its stream has it."""
_POLL_S = 0.1
_NOTE_EVERY_S = 0.5
_MAX_WAIT_S = 30.0
"""Seconds after which a batch goes on all the same: a stream that nobody reads must not stop the others."""


class Order:
    """One process's knowledge of the layout.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        self._repository = LayoutRepository(database)
        self._layout = Layout(before={})
        self._noted: dict[str, float] = {}

    @property
    def known(self) -> Sequence[str]:
        """The streams that were ever read and are not gone."""
        return self._layout.known

    async def refresh(self) -> None:
        """Read the layout anew.

        Raises:
            StoreError: The database can't be reached.
        """
        self._layout = await self._repository.read()

    async def wait(self, stream: str, stop: asyncio.Event) -> bool:
        """Wait, before a batch is stored, for what had arrived before it in the streams from which its jobs may come.

        Args:
            stream: The batch's stream.
            stop: Ends the wait.

        Returns:
            Whether the batch may be stored; not where it was time to leave.

        Raises:
            StoreError: The database can't be reached.
        """
        before = self._layout.before.get(stream)
        if not before:
            return True
        arrived = await self._repository.now()
        deadline = asyncio.get_running_loop().time() + _MAX_WAIT_S
        while not stop.is_set():
            caught_up = await self._repository.caught_up(before)
            behind = [name for name, moment in caught_up.items() if not _is_drained(moment, arrived)]
            if not behind:
                return True
            if asyncio.get_running_loop().time() > deadline:
                log.warning("former streams are not drained", action="consumer.not_drained", streams=behind)
                return True
            await pause(_POLL_S, stop)
        return False

    async def note_caught_up(self, stream: str, log_of: Log) -> None:
        """Note that a stream is drained, for those that wait for it, while a change of the layout is recent.

        Args:
            stream: The stream, of which nothing waits to be stored.
            log_of: Its position.

        Raises:
            StoreError: The database can't be reached.
        """
        now_s = asyncio.get_running_loop().time()
        if not self._layout.before or now_s < self._noted.get(stream, 0.0) + _NOTE_EVERY_S:
            return
        self._noted[stream] = now_s
        await log_of.note_caught_up()


def _is_drained(caught_up: datetime | None, arrived: datetime) -> bool:
    return caught_up is not None and caught_up > arrived + _MARGIN

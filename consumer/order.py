"""Keeps a job's updates in order when the number of partitions changes: what was sent before comes first.

With another number, a job that is under way may go on in another stream. So for some time after a change, a batch waits
until everything is stored that had arrived in the streams from which its jobs may come: drain, then move. Streams of a
former layout go on to be read, whatever still comes.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.log.layout import Layout, LayoutRepository

log = structlog.get_logger()

_MARGIN = timedelta(seconds=1)
"""How long a confirmed update may take until the owner of its stream has it."""
_POLL_S = 0.1
_LOOK_EVERY_S = 1.0
_MAX_WAIT_S = 30.0
"""Seconds without any progress there after which a batch goes on all the same: a stream that is not read must not stop
the others."""


class Order:
    """One process's knowledge of the layout."""

    def __init__(self, database: Database) -> None:
        self._repository = LayoutRepository(database)
        self._layout = Layout(before={})
        self._looked: dict[str, float] = {}
        self._ahead = timedelta()
        """By how much the database's clock is ahead of ours."""

    @property
    def known(self) -> Sequence[str]:
        """The streams that were ever read and are not gone."""
        return self._layout.known

    @property
    def present(self) -> Sequence[str]:
        """The streams that updates are sent to now, as the database knows it."""
        return self._layout.present

    async def refresh(self) -> None:
        """Read the layout again."""
        self._layout = await self._repository.read()
        if self._layout.before:
            self._ahead = await self._repository.now() - datetime.now(UTC)

    async def wait(self, stream: str, received_at: datetime, stop: asyncio.Event) -> bool:
        """Wait, before a batch is stored, for what had arrived before it in the streams from which its jobs may come.

        `received_at` is when its last message came, by our clock. Return whether the batch may be stored: not if it was
        time to stop.
        """
        before = self._layout.before.get(stream)
        if not before:
            return True
        arrived = received_at + self._ahead
        loop = asyncio.get_running_loop()
        offsets: list[int] = []
        deadline = loop.time() + _MAX_WAIT_S
        while not stop.is_set():
            progress = await self._repository.progress(before)
            behind = [name for name, (moment, _) in progress.items() if not _is_drained(moment, arrived)]
            if not behind:
                return True
            now = [progress[name][1] for name in behind]
            if now != offsets:
                offsets, deadline = now, loop.time() + _MAX_WAIT_S
            if loop.time() > deadline:
                log.warning("former streams are not drained", action="consumer.not_drained", streams=behind)
                return True
            await sleep_until(_POLL_S, stop)
        return False

    async def look(self, stream: str) -> datetime | None:
        """Return the moment, by the database's clock, if it is time to look how far a stream goes.

        That is so for some time after a change of the layout.
        """
        now_s = asyncio.get_running_loop().time()
        if not self._layout.before or now_s < self._looked.get(stream, 0.0) + _LOOK_EVERY_S:
            return None
        self._looked[stream] = now_s
        return await self._repository.now()


def _is_drained(caught_up: datetime | None, arrived: datetime) -> bool:
    return caught_up is not None and caught_up > arrived + _MARGIN

"""A client that waits for changes: how the hub notifies it, and how it waits."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection

from jobtrail.web.live.topics import Topic

KEEPALIVE_S = 15.0
"""Seconds without news after which a keepalive is sent."""


class Listener(ABC):
    """One client's subscription at the hub. All of it runs in one event loop, so nothing comes in between."""

    def __init__(self, topics: Collection[Topic]) -> None:
        self.topics = topics
        self._is_over = False
        self._news = asyncio.Event()

    @abstractmethod
    def notify(self, number: int | None) -> None:
        """Note a change of one of the topics: the number of an update in the buffer; None for another change."""

    @abstractmethod
    def restarted(self) -> None:
        """Note that the hub starts at the present: it has just begun, or has missed something."""

    @abstractmethod
    async def take(self) -> bytes | None:
        """Wait for what is to be sent next, a keepalive included; None ends the stream."""

    def end(self) -> None:
        """End the stream."""
        self._is_over = True
        self._news.set()

    async def _wait(self, timeout_s: float) -> bool:
        """Wait until there is news; return whether there was, in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True

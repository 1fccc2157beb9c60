"""Somebody who wants to hear of changes: what the hub tells them, and how they wait for it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Collection

from jobtrail.web.live.topics import Topic

SIGN_OF_LIFE_S = 15.0
"""Seconds without anything to send after which a sign of life is sent."""


class Listener(ABC):
    """One client's ear at the hub. All is done in one event loop, so that nothing comes in between.

    Args:
        topics: What it listens to.
    """

    def __init__(self, topics: Collection[Topic]) -> None:
        self.topics = topics
        self._is_over = False
        self._stirred = asyncio.Event()

    @abstractmethod
    def heard(self, number: int | None) -> None:
        """Note that something of the topics has changed.

        Args:
            number: The update's number in the ring; None for another change.
        """

    @abstractmethod
    def began(self) -> None:
        """Note that the hub begins at the present: it has just started, or has missed something."""

    @abstractmethod
    async def take(self) -> bytes | None:
        """Wait for what is to be sent next, or for the time to show a sign of life; None ends it."""

    def end(self) -> None:
        """Let it end."""
        self._is_over = True
        self._stirred.set()

    async def _wait(self, timeout_s: float) -> bool:
        """Wait until there is news; return whether there was, in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._stirred.wait()
        except TimeoutError:
            return False
        self._stirred.clear()
        return True

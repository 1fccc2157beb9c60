"""The loop of everything that lives longer than its connections: one session after another, until told to stop."""

import asyncio
from collections.abc import Awaitable, Callable

from jobtrail.models.errors import OwnershipLostError, UnreachableError
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import sleep_until

OUTAGES: tuple[type[Exception], ...] = (UnreachableError, OwnershipLostError)
"""What ends a session and not the service: a broker or a database that is away, or another process that took over."""

Session = Callable[[], Awaitable[object]]


class Reconnect:
    """Begins another session after an outage, with pauses that grow until a session works.

    `on_outage` gets the error and the pause that follows it, in seconds; other errors than `outages` come through.
    """

    def __init__(
        self,
        stop: asyncio.Event,
        max_wait_s: float,
        on_outage: Callable[[Exception, float], None],
        outages: tuple[type[Exception], ...] = OUTAGES,
    ) -> None:
        self._stop = stop
        self._backoff = Backoff(most_s=max_wait_s)
        self._on_outage = on_outage
        self._outages = outages
        self.failures = 0
        """Outages in a row since a session worked."""

    async def run(self, session: Session) -> None:
        """Run sessions until told to stop."""
        while not self._stop.is_set():
            await self._attempt(session)

    async def until_done(self, session: Session) -> bool:
        """Run sessions until one ends by itself; return whether one did before it was time to stop."""
        while not self._stop.is_set():
            if await self._attempt(session):
                return True
        return False

    async def _attempt(self, session: Session) -> bool:
        try:
            await session()
        except self._outages as error:
            self.failures += 1
            wait_s = self._backoff.next_s()
            self._on_outage(error, wait_s)
            await sleep_until(wait_s, self._stop)
            return False
        return True

    def note_success(self) -> None:
        """Take note that a session works: the next pause is a short one again."""
        self.failures = 0
        self._backoff.reset()

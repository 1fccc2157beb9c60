"""Shares work evenly among consumer processes: each piece belongs to one of them, by a lease."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress

import structlog

from jobtrail.models.errors import BusyError, NotFoundError, OwnershipLostError, StoreError, UnreachableError
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import pause
from jobtrail.runtime.tasks import end
from jobtrail.store.database import Database
from jobtrail.store.leases.lease import Lease
from jobtrail.store.leases.membership import Membership

log = structlog.get_logger()

_LOOK_S = 1.0
_MISSING_S = 5.0
"""Seconds after which a queue that does not exist is looked for again."""

Work = Callable[[asyncio.Event, int, Callable[[str], None]], Coroutine[None, None, None]]
"""Does a piece of work until the event is set. It is told how often it failed in a row, and tells its state."""


class Sharing:
    """One process's part of the work.

    Args:
        database: The trail's database.
        group: What is shared, the same for all processes that share it.
        max_wait_s: The longest pause between two tries.
    """

    def __init__(self, database: Database, group: str, max_wait_s: float) -> None:
        self._database = database
        self._membership = Membership(database, group)
        self._max_wait_s = max_wait_s
        self._running: dict[str, _Piece] = {}
        self._error: str | None = None

    @property
    def states(self) -> Mapping[str, str]:
        """What this process does with each piece of work that is its own."""
        return {name: piece.state for name, piece in self._running.items()}

    @property
    def error(self) -> str | None:
        """Why it is not known which pieces are this process's; None where it is known."""
        return self._error

    async def run(self, pieces: Callable[[], Awaitable[Mapping[str, Work]]], stop: asyncio.Event) -> None:
        """Take part until told to stop; then finish, and leave.

        Args:
            pieces: Tells the pieces of work there are, by name; asked every second.
            stop: Ends it.
        """
        try:
            while not stop.is_set():
                try:
                    all_pieces = await pieces()
                    self._share(all_pieces, await self._membership.renew())
                    self._error = None
                except (StoreError, OwnershipLostError) as error:
                    if self._error is None:
                        log.warning("database away", action="consumer.database_away", error=str(error))
                    self._error = str(error)
                await pause(_LOOK_S, stop)
        finally:
            await asyncio.gather(*(piece.leave() for piece in self._running.values()))
            with suppress(StoreError):
                await self._membership.leave()

    def _share(self, pieces: Mapping[str, Work], members: Sequence[str]) -> None:
        """Begin what is ours by now, and let go of what is not."""
        mine = {
            name
            for place, name in enumerate(sorted(pieces))
            if members and members[place % len(members)] == self._membership.name
        }
        for name in set(self._running) - mine:
            piece = self._running[name]
            piece.stop.set()
            if piece.task.done():
                del self._running[name]
        for name in mine:
            running = self._running.get(name)
            if running is None or running.task.done():
                self._running[name] = _Piece(self._database, name, pieces[name], self._max_wait_s)


class _Piece:
    """One piece of work that this process does, or waits to do."""

    def __init__(self, database: Database, name: str, work: Work, max_wait_s: float) -> None:
        self._name = name
        self._work = work
        self._backoff = Backoff(most_s=max_wait_s)
        self._failures = 0
        """How often in a row it was not even begun."""
        self._lease = Lease(database, name)
        self.state = "starting"
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def leave(self) -> None:
        """Finish, and give the lease back."""
        self.stop.set()
        try:
            await self.task
        finally:
            await end(self.task)

    async def _run(self) -> None:
        while not self.stop.is_set():
            try:
                holder = await self._lease.acquire()
                if holder is not None:
                    self.state = f"spare: {holder.name} has it"
                    await pause(_LOOK_S, self.stop)
                    continue
                await self._lease.while_held(lambda: self._work(self.stop, self._failures, self._tell))
            except NotFoundError as error:
                self.state = f"missing: {error}"
                await pause(_MISSING_S, self.stop)
            except (UnreachableError, OwnershipLostError, BusyError) as error:
                await self._retry(error)
            except Exception as error:
                # A defect that one piece meets must not end the others; it is told with all that is known of it.
                log.exception("piece failed", action="consumer.piece_failed", piece=self._name)
                await self._retry(error)

    async def _retry(self, error: Exception) -> None:
        self._failures += 1
        wait_s = self._backoff.next_s()
        self.state = f"reconnecting: {error}"
        log.warning(
            "session ended",
            action="consumer.session_ended",
            piece=self._name,
            error=str(error),
            wait_s=round(wait_s, 2),
        )
        await pause(wait_s, self.stop)

    def _tell(self, state: str) -> None:
        """Note what is done; who works is well again."""
        self.state = state
        self._backoff.reset()
        self._failures = 0

"""Shares work evenly among processes: each piece belongs to one of them, by a lease."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import suppress

import structlog

from jobtrail.models.errors import BusyError, NotFoundError, OwnershipLostError, StoreError
from jobtrail.runtime.reconnect import OUTAGES, Reconnect
from jobtrail.runtime.sleep import sleep_until
from jobtrail.runtime.tasks import cancel_and_wait
from jobtrail.store.database import Database
from jobtrail.store.leases.lease import Lease
from jobtrail.store.leases.membership import Membership

log = structlog.get_logger()

_LOOK_S = 1.0
_MISSING_S = 5.0
"""Seconds after which a queue that does not exist is looked for again."""

Work = Callable[[asyncio.Event, int, Callable[[str], None]], Coroutine[None, None, None]]
"""Does a piece of work until the event is set. It gets the number of failures in a row, and a way to note its state."""


class Sharing:
    """One process's part of the work that all processes of a group share."""

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
        """Take part until told to stop; then finish, and leave. `pieces` is called every second."""
        try:
            while not stop.is_set():
                try:
                    work = await pieces()
                    self._share(work, await self._membership.renew(work))
                    self._error = None
                except (StoreError, OwnershipLostError) as error:
                    if self._error is None:
                        log.warning("database away", action="consumer.database_away", error=str(error))
                    self._error = str(error)
                await sleep_until(_LOOK_S, stop)
        finally:
            await asyncio.gather(*(piece.leave() for piece in self._running.values()))
            with suppress(StoreError):
                await self._membership.leave()

    def _share(self, work: Mapping[str, Work], known: Mapping[str, Collection[str]]) -> None:
        """Begin what is ours by now, and let go of what is not."""
        mine = share_of(self._membership.name, known)
        for name in self._running.keys() - mine:
            piece = self._running[name]
            piece.stop.set()
            if piece.task.done():
                del self._running[name]
        for name in mine:
            running = self._running.get(name)
            if running is None or running.task.done():
                self._running[name] = _Piece(self._database, name, work[name], self._max_wait_s)


def share_of(member: str, known: Mapping[str, Collection[str]]) -> set[str]:
    """Tell which pieces of work fall to a member, given which pieces each member knows.

    All members know them all, but where settings differ: then a piece falls to one of those that know it. Everyone
    comes to the same answer, which is as even as that allows.
    """
    shares: dict[str, set[str]] = {name: set() for name in sorted(known)}
    able = {piece: [name for name in shares if piece in known[name]] for pieces in known.values() for piece in pieces}
    for piece in sorted(able, key=lambda piece: (len(able[piece]), piece)):
        least_busy = min(able[piece], key=lambda name: len(shares[name]))
        shares[least_busy].add(piece)
    return shares.get(member, set())


class _Piece:
    """One piece of work that this process does, or waits to do."""

    def __init__(self, database: Database, name: str, work: Work, max_wait_s: float) -> None:
        self._name = name
        self._work = work
        self._lease = Lease(database, name)
        self.state = "starting"
        self.stop = asyncio.Event()
        # A defect that one piece meets must not end the others.
        self._reconnect = Reconnect(self.stop, max_wait_s, self._note_outage, outages=(Exception,))
        self.task = asyncio.create_task(self._reconnect.run(self._session))

    async def leave(self) -> None:
        """Finish, and give the lease back."""
        self.stop.set()
        try:
            await self.task
        finally:
            await cancel_and_wait(self.task)

    async def _session(self) -> None:
        holder = await self._lease.acquire()
        if holder is not None:
            self.state = f"spare: {holder.name} has it"
            await sleep_until(_LOOK_S, self.stop)
            return
        try:
            await self._lease.while_held(lambda: self._work(self.stop, self._reconnect.failures, self._tell))
        except NotFoundError as error:
            self.state = f"missing: {error}"
            await sleep_until(_MISSING_S, self.stop)

    def _note_outage(self, error: Exception, wait_s: float) -> None:
        self.state = f"reconnecting: {error}"
        is_defect = not isinstance(error, (*OUTAGES, BusyError))
        log.log(
            logging.ERROR if is_defect else logging.WARNING,
            "session ended",
            action="consumer.session_ended",
            piece=self._name,
            error=str(error),
            wait_s=round(wait_s, 2),
            exc_info=is_defect,  # of a defect all that is known
        )

    def _tell(self, state: str) -> None:
        self.state = state
        self._reconnect.note_success()

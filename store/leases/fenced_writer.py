"""A session for writing that takes the place of its predecessor's."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError, OperationFailure

from jobtrail.models.errors import StoreError
from jobtrail.store.database import Database, translated

T = TypeVar("T")
_INTERRUPTED = 11601
"""MongoDB's code for an operation whose session was ended."""


class FencedWriter:
    """Runs transactions for something that one process at a time does.

    A predecessor that was killed may have left a transaction open, and MongoDB would keep its locks for a minute; one
    that only seems dead may still be writing. Taking over ends its session either way.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session = database.client.start_session()
        self._one_at_a_time = asyncio.Lock()  # a session carries one transaction

    async def take_over(self, purpose: str) -> None:
        """Become the one that writes for a purpose, which is the same for all processes that do it."""
        with translated():
            while not await self._replace(purpose):
                pass

    async def _replace(self, purpose: str) -> bool:
        """End the session of whoever writes now, and take its place unless another process was faster.

        A session's name is kept until it has ended: if we are killed in between, our successor ends it.
        """
        lease = await self._database.leases.find_one({"_id": purpose}, {"session": 1}) or {}
        former = lease.get("session")
        if former is not None:
            await self._database.client.admin.command("killSessions", [{"id": former}])
        change = {"$set": {"session": self._session.session_id["id"]}, "$currentDate": {"since": True}}
        try:
            await self._database.leases.update_one({"_id": purpose, "session": former}, change, upsert=True)
        except DuplicateKeyError:
            return False
        return True

    async def transact(self, work: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Run work in one transaction; see `Database.transact`.

        A transaction that a successor ended is run once more: whether we may still write is for the work to find out,
        from what the successor has written.
        """
        async with self._one_at_a_time:
            try:
                return await self._database.transact(work, self._session)
            except StoreError as error:
                if not (isinstance(error.__cause__, OperationFailure) and error.__cause__.code == _INTERRUPTED):
                    raise
                return await self._database.transact(work, self._session)

    async def close(self) -> None:
        """Give the session back to the server."""
        with translated():
            await self._session.end_session()

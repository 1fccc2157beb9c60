"""The changes of jobs as they happen, without gap across restarts: a change stream whose resume token is kept."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Set
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import OperationFailure

from jobtrail.models.errors import StoreError
from jobtrail.store.database import Database, Document, translated

MAX_CHANGES = 500
"""Changes of one batch at the most."""
GATHER_S = 0.05
"""Seconds for which the first change of a batch waits for company."""
_AWAIT_MS = 1000
"""Milliseconds after which the server answers even when nothing has changed."""
Token = Mapping[str, Any]
_LOST = frozenset({260, 280, 286})
"""MongoDB's codes for a stream that can't go on from its token: InvalidResumeToken, ChangeStreamFatalError (the event
is not in the oplog), ChangeStreamHistoryLost (the oplog has moved on)."""
_PIPELINE: list[Document] = [
    {"$match": {"operationType": {"$in": ["insert", "replace", "update"]}}},
    {"$project": {"documentKey": 1, "fullDocument.resource_id": 1}},
]


@dataclass(slots=True, frozen=True, kw_only=True)
class ChangeBatch:
    """Jobs that have changed, each once however often it did."""

    job_ids: Set[str]
    resource_ids: Set[str]
    """What these jobs are about."""
    token: Token | None
    """Where the stream stands after them; None while that is not known."""


@asynccontextmanager
async def job_changes(database: Database, name: str) -> AsyncIterator["JobChanges"]:
    """Open the stream of changes after the token kept last under a name, or from now on where that is not possible.

    The name is that of the purpose, the same in all processes.
    """
    with translated():
        kept = await database.resume_tokens.find_one({"_id": name})
        stream, resumed = await _open(database, kept.get("token") if kept else None)
    changes = JobChanges(database, name, stream, resumed=resumed)
    try:
        if not changes.resumed:
            # A majority write: once it is made, whatever happened before the stream began can be read.
            await changes.keep(stream.resume_token)
        yield changes
    finally:
        await changes.close()


class JobChanges:
    """The changes of jobs; where `resumed` is false they begin now, and the caller must find what was before."""

    def __init__(self, database: Database, name: str, stream: AsyncChangeStream[Document], *, resumed: bool) -> None:
        self._database = database
        self._name = name
        self._stream = stream
        self._reading: asyncio.Task[Document | None] | None = None
        self.resumed = resumed

    async def close(self) -> None:
        """Close the stream."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        with translated():
            await self._stream.close()

    async def take(self, wait_s: float) -> ChangeBatch:
        """Take up to `MAX_CHANGES` changes, waiting `wait_s` seconds for a first one.

        After a `StoreError` open another stream: it goes on after the token kept last.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        job_ids: set[str] = set()
        resource_ids: set[str] = set()
        for count in range(MAX_CHANGES):
            change = await self._next(until)
            if change is None:
                break
            if count == 0:
                until = loop.time() + GATHER_S
            job_ids.add(change["documentKey"]["_id"])
            resource = (change.get("fullDocument") or {}).get("resource_id")
            if resource is not None:  # None: the job was removed after this change
                resource_ids.add(resource)
        return ChangeBatch(job_ids=job_ids, resource_ids=resource_ids, token=self._stream.resume_token)

    async def keep(self, token: Token | None) -> None:
        """Note that everything up to a token has had its effect; where that fails, the changes come again."""
        with translated():
            await self._database.resume_tokens.update_one(
                {"_id": self._name}, {"$set": {"token": token}, "$currentDate": {"kept_at": True}}, upsert=True
            )

    async def _next(self, until: float) -> Any | None:
        """Return the next change, or None when there is none in time.

        A read that is not over in time is not cancelled, which would break the stream, but left for the next call.
        """
        loop = asyncio.get_running_loop()
        while True:
            if self._reading is None:
                self._reading = asyncio.create_task(self._stream.try_next())
            await asyncio.wait((self._reading,), timeout=max(0.0, until - loop.time()))
            if not self._reading.done():
                return None
            reading, self._reading = self._reading, None
            with translated():
                try:
                    change = reading.result()
                except OperationFailure as error:
                    if error.code in _LOST:
                        await self._database.resume_tokens.delete_one({"_id": self._name})
                    raise
            if change is not None:
                return change
            if not self._stream.alive:
                raise StoreError("MongoDB: the stream of changes ended; was the collection jobs dropped?")
            if loop.time() >= until:
                return None


async def _open(database: Database, token: object) -> tuple[AsyncChangeStream[Document], bool]:
    """Open a stream after a token, or from now on; tell whether it was after the token."""
    if token:
        # What MongoDB refuses is a lost or a malformed token; if it is something else, it refuses that without one too.
        with suppress(OperationFailure):
            return await _watch(database, token), True
    return await _watch(database, None), False


async def _watch(database: Database, token: object) -> AsyncChangeStream[Document]:
    return await database.jobs.watch(
        _PIPELINE,
        full_document="updateLookup",
        start_after=token,  # type: ignore[arg-type]  # whatever was kept: MongoDB judges it
        max_await_time_ms=_AWAIT_MS,
    )

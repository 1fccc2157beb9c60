"""Reads a Clowder database job by job, in an order that the next run finds again; nothing in it is changed."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson import MaxKey
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from jobtrail.models.errors import DecodeError, SettingError, StoreError
from jobtrail.models.redaction import redact
from jobtrail.store.clowder.documents import (
    ClowderDocument,
    ImportedUpdate,
    RejectedDocument,
    clowder1_update,
    clowder2_updates,
)

_KEY = "jobtrail_key"
_READ_BATCH = 1000
_LAST = MaxKey()

Key = dict[str, object] | str
"""Where in a source's order a unit stands; MongoDB compares it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Unit:
    """What is imported whole: one document of Clowder 1, one job of Clowder 2."""

    key: Key
    read: int
    """Documents that it is made of."""
    updates: Sequence[ImportedUpdate]
    rejected: Sequence[RejectedDocument]


@contextmanager
def source_errors() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except (InvalidURI, ConfigurationError) as error:
        raise SettingError(f"this is not a usable MongoDB URL: {redact(str(error))}") from error
    except PyMongoError as error:
        raise StoreError(f"Clowder's MongoDB: {redact(str(error))[:300]}") from error


class ClowderDatabase:
    """One database of a Clowder."""

    def __init__(self, url: str, name: str, *, timeout_s: float = 5.0) -> None:
        with source_errors():
            self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                url, appname="jobtrail import", serverSelectionTimeoutMS=int(timeout_s * 1000)
            )
            # Texts in other encodings and dates beyond Python's are read as far as can be: one must not stop the rest.
            options: CodecOptions[dict[str, Any]] = CodecOptions(
                tz_aware=True,
                unicode_decode_error_handler="replace",
                datetime_conversion=DatetimeConversion.DATETIME_AUTO,
            )
            self._database: AsyncDatabase[dict[str, Any]] = self._client.get_database(name, codec_options=options)
        self.name = name

    def __getitem__(self, collection: str) -> AsyncCollection[dict[str, Any]]:
        """Return one collection."""
        return self._database[collection]

    async def identity(self) -> str:
        """Name this database so that a later run knows it again, by its servers and without secrets."""
        with source_errors():
            await self._client.admin.command("ping")
            hosts = ",".join(sorted(f"{host}:{port}" for host, port in self._client.nodes))
        return f"{hosts}/{self.name}"

    async def collections(self) -> set[str]:
        """Return the names of its collections."""
        with source_errors():
            return set(await self._database.list_collection_names())

    async def count(self, collections: Sequence[str]) -> int:
        """Return about how many documents collections hold."""
        with source_errors():
            return sum([await self[name].estimated_document_count() for name in collections])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def sorted(self, collection: str, key: object, after: Key | None) -> AsyncIterator[dict[str, Any]]:
        """Read a collection in the order of a computed key.

        `after`: only documents behind this key; None for all. Yields the documents, each with its key.
        """
        pipeline: list[dict[str, object]] = [{"$addFields": {_KEY: key}}]
        if after is not None:
            pipeline.append({"$match": {_KEY: {"$gt": after}}})
        pipeline.append({"$sort": {_KEY: 1}})
        with source_errors():
            cursor = await self[collection].aggregate(pipeline, allowDiskUse=True, batchSize=_READ_BATCH)
            async with cursor:
                async for document in cursor:
                    yield document


class Clowder1Source:
    """Clowder 1's `extractions`, by job, then start, then id."""

    queue = "import:clowder1"
    collections = ("extractions",)

    def __init__(self, database: ClowderDatabase) -> None:
        self._database = database

    async def units(self, after: Key | None) -> AsyncIterator[Unit]:
        """Read the documents.

        `after`: where the last run ended; None for all. Yields one unit per document.
        """
        key = _update_key("$job_id", "$start")
        async for document in self._database.sorted("extractions", key, after):
            updates: list[ImportedUpdate] = []
            rejected: list[RejectedDocument] = []
            try:
                updates.append(clowder1_update(document))
            except DecodeError as error:
                rejected.append(_rejected("extractions", document, error))
            yield Unit(key=document[_KEY], read=1, updates=updates, rejected=rejected)


class Clowder2Source:
    """Clowder 2's `listener_jobs` and `listener_job_updates`, job by job.

    Both are read in the order of the job ids and merged: Clowder need not have an index to find a job's updates by.
    """

    queue = "import:clowder2"
    collections = ("listener_jobs", "listener_job_updates")

    def __init__(self, database: ClowderDatabase) -> None:
        self._database = database

    async def units(self, after: Key | None) -> AsyncIterator[Unit]:
        """Read the jobs.

        `after`: the last job that an earlier run handled; None for all. Yields one unit per job; updates that belong to
        no job are rejected in units of their own.
        """
        records = _Peekable(self._database.sorted("listener_jobs", _as_text("$_id"), after))
        behind: Key | None = None if after is None else {"job": after, "time": _LAST, "id": _LAST}
        updates = self._database.sorted("listener_job_updates", _update_key("$job_id", "$timestamp"), behind)
        async for job_id, documents in _by_job(updates):
            while (record := await records.peek()) is not None and record[_KEY] < job_id:
                yield _job_unit(record[_KEY], await records.take(), [])
            belongs = record is not None and record[_KEY] == job_id and job_id
            yield _job_unit(job_id, await records.take() if belongs else None, documents)
        while await records.peek() is not None:
            record = await records.take()
            yield _job_unit(record[_KEY], record, [])


def _job_unit(job_id: str, record: ClowderDocument | None, documents: Sequence[ClowderDocument]) -> Unit:
    read = len(documents) + (record is not None)
    if record is None:
        reason = "its job is not in listener_jobs" if job_id else "it names no job"
        rejected = [
            RejectedDocument(collection="listener_job_updates", id=str(document["_id"]), reason=reason)
            for document in documents
        ]
        return Unit(key=job_id, read=read, updates=[], rejected=rejected)
    try:
        updates, rejected = clowder2_updates(job_id, record, documents)
    except DecodeError as error:
        lost = f" ({len(documents)} updates with it)" if documents else ""
        problem = RejectedDocument(collection="listener_jobs", id=job_id, reason=f"{redact(str(error))}{lost}")
        return Unit(key=job_id, read=read, updates=[], rejected=[problem])
    return Unit(key=job_id, read=read, updates=updates, rejected=rejected)


def _rejected(collection: str, document: ClowderDocument, error: DecodeError) -> RejectedDocument:
    return RejectedDocument(collection=collection, id=str(document.get("_id")), reason=redact(str(error)))


def _as_text(expression: str) -> dict[str, object]:
    """Make ids comparable that are stored as ObjectIds here and as texts there; what is not an id sorts first."""
    return {"$convert": {"input": expression, "to": "string", "onError": "", "onNull": ""}}


def _update_key(job: str, time: str) -> dict[str, object]:
    """Make the key of an update: job, time, id. Documents compare field by field."""
    moment = {"$convert": {"input": time, "to": "date", "onError": None, "onNull": None}}
    milliseconds = {"$convert": {"input": moment, "to": "long", "onError": None, "onNull": None}}
    return {"job": _as_text(job), "time": milliseconds, "id": "$_id"}


async def _by_job(documents: AsyncIterator[dict[str, Any]]) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Group updates by job; those of no job each stand alone, because there may be any number of them."""
    group: list[dict[str, Any]] = []
    current = ""
    async for document in documents:
        job_id = str(document[_KEY]["job"])
        if group and (job_id != current or not job_id):
            yield current, group
            group = []
        current = job_id
        group.append(document)
    if group:
        yield current, group


class _Peekable:
    """Documents of which the next one can be looked at."""

    def __init__(self, documents: AsyncIterator[dict[str, Any]]) -> None:
        self._documents = documents
        self._next: dict[str, Any] | None = None
        self._ended = False

    async def peek(self) -> dict[str, Any] | None:
        if self._next is None and not self._ended:
            self._next = await anext(self._documents, None)
            self._ended = self._next is None
        return self._next

    async def take(self) -> dict[str, Any]:
        document = await self.peek()
        if document is None:
            raise StopAsyncIteration
        self._next = None
        return document

"""The connection to MongoDB, the collections and their indexes."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TypeVar

import pymongo
from bson import CodecOptions
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidURI,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from jobtrail.models.errors import OwnershipLostError, SettingError, StoreError
from jobtrail.models.redaction import redact
from jobtrail.store import driver_locks

Document = dict[str, object]
T = TypeVar("T")

_TRANSACTION_TIMEOUT_S = 30.0
"""How long a transaction may take with all its attempts."""
_CLOSE_TIMEOUT_S = 1.0

REFUSALS = frozenset({2, 14, 22, 121, 10334, 17280, 17419, 17420})
"""MongoDB's codes for a document that it will never take: BadValue, TypeMismatch, InvalidBSON,
DocumentValidationFailure, BSONObjectTooLarge, KeyTooLong, and a document that grew too large."""
DUPLICATE_KEY = 11000
"""MongoDB's code for a unique key that is taken."""

INDEXES: dict[str, list[IndexModel]] = {
    "extractions": [
        IndexModel([("job_id", 1), ("position", 1)], name="timeline"),
        IndexModel([("file_id", 1), ("extractor_id", 1), ("job_id", 1), ("seq", 1)], name="resource"),
        IndexModel(
            [("job_id", 1), ("message_id", 1)],
            name="message",
            unique=True,
            partialFilterExpression={"message_id": {"$exists": True}},
        ),
        IndexModel(
            [("file_id", 1), ("extractor_id", 1), ("received_at", 1), ("_id", 1)],
            name="unnamed",
            partialFilterExpression={"job_id": None},
        ),
        IndexModel([("received_at", -1), ("_id", -1)], name="unnamed_latest", partialFilterExpression={"job_id": None}),
        IndexModel([("queue", 1), ("seq", 1)], name="arrival"),
    ],
    "jobs": [
        IndexModel([("updated_at", -1), ("_id", -1)], name="latest"),
        IndexModel([("status", 1), ("updated_at", -1), ("_id", -1)], name="status"),
        IndexModel([("extractor_id", 1), ("updated_at", -1), ("_id", -1)], name="extractor"),
        IndexModel([("resource_id", 1), ("updated_at", -1), ("_id", -1)], name="resource"),
        IndexModel([("user_id", 1), ("updated_at", -1), ("_id", -1)], name="user"),
        IndexModel([("resource_id", 1), ("extractor_id", 1), ("begun_at", -1), ("_id", -1)], name="begun"),
        IndexModel([("begun_at", -1), ("_id", -1)], name="newest"),
    ],
    "tallies": [IndexModel([("hour", 1)], name="expiry", expireAfterSeconds=35 * 24 * 3600)],
    "duplicates": [
        IndexModel([("queue", 1), ("seq", 1)], name="arrival"),
        # A day later than the counts: a batch is counted in the hour of its last message.
        IndexModel([("at", 1)], name="expiry", expireAfterSeconds=36 * 24 * 3600),
    ],
    "stream_holes": [
        IndexModel([("queue", 1), ("seq", 1)], name="arrival"),
        IndexModel([("at", 1)], name="expiry", expireAfterSeconds=36 * 24 * 3600),
    ],
    "incidents": [IndexModel([("at", -1), ("_id", -1)], name="latest")],
    "dead_letters": [
        IndexModel([("key", 1)], name="key", unique=True, partialFilterExpression={"key": {"$exists": True}}),
        IndexModel([("state", 1), ("_id", 1)], name="state"),
        IndexModel([("cause_id", 1), ("state", 1), ("_id", 1)], name="cause"),
        # Not by state too: each index that a state stands in makes each change of it slower by a third.
        IndexModel(
            [("replay_id", 1), ("_id", 1)],
            name="replay",
            partialFilterExpression={"replay_id": {"$exists": True}},
        ),
        IndexModel([("job_id", 1), ("_id", 1)], name="job", partialFilterExpression={"job_id": {"$exists": True}}),
        IndexModel(
            [("queue", 1), ("fingerprint", 1), ("seq", 1)],
            name="fingerprint",
            partialFilterExpression={"fingerprint": {"$exists": True}},
        ),
        IndexModel([("queue", 1), ("seq", 1)], name="arrival"),
        IndexModel(
            [("origin", 1), ("origin_seq", 1)],
            name="origin",
            partialFilterExpression={"origin_seq": {"$exists": True}},
        ),
    ],
    "dead_letter_archive": [
        IndexModel([("key", 1)], name="key", partialFilterExpression={"key": {"$exists": True}}),
        IndexModel([("queue", 1), ("seq", 1)], name="arrival"),
        IndexModel(
            [("origin", 1), ("origin_seq", 1)],
            name="origin",
            partialFilterExpression={"origin_seq": {"$exists": True}},
        ),
    ],
    "dead_letter_parts": [IndexModel([("letter", 1), ("number", 1)], name="letter", unique=True)],
    "dead_letter_causes": [IndexModel([("last_seen", -1), ("_id", -1)], name="latest")],
    "dead_letter_hours": [
        IndexModel([("cause_id", 1), ("hour", 1)], name="cause"),
        IndexModel([("hour", 1)], name="expiry", expireAfterSeconds=30 * 24 * 3600),
    ],
    "replays": [
        IndexModel([("asked_at", -1), ("_id", -1)], name="latest"),
        IndexModel([("state", 1), ("asked_at", 1)], name="state"),
    ],
    "outbox": [
        IndexModel([("channel", 1), ("state", 1), ("not_before", 1)], name="due"),
        IndexModel([("batch", 1)], name="batch"),
        IndexModel([("dataset_id", 1), ("created_at", 1)], name="dataset"),
        IndexModel([("state", 1), ("created_at", -1), ("_id", -1)], name="state"),
        IndexModel([("sent_at", 1)], name="expiry", expireAfterSeconds=30 * 24 * 3600),
    ],
    "tokens": [
        IndexModel([("hash", 1)], name="hash", unique=True),
        IndexModel([("name", 1)], name="name", unique=True, partialFilterExpression={"revoked_at": None}),
    ],
    "sessions": [IndexModel([("expires_at", 1)], name="expiry", expireAfterSeconds=0)],
    "audit": [
        IndexModel([("at", -1), ("_id", -1)], name="latest"),
        IndexModel([("act", 1), ("at", -1), ("_id", -1)], name="act"),
    ],
    "extractors": [IndexModel([("name", 1)], name="name")],
    "extractor_instances": [
        IndexModel([("extractor", 1)], name="extractor"),
        IndexModel([("last_seen", 1)], name="expiry", expireAfterSeconds=7 * 24 * 3600),
    ],
}
"""Indexes by collection."""
_FORMER_INDEXES = {"extractions": "message_id", "tallies": "hour"}
"""Of earlier versions, in the way of those above."""


def from_now(delay_s: float) -> Document:
    """Make the expression, for pipelines and `$expr`, of a time `delay_s` seconds from now by the database's clock."""
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(delay_s * 1000)}}


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours.

    A unique key that is taken is an `OwnershipLostError`: another process stored what was to be stored here. Anything
    else is a `StoreError`.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise OwnershipLostError(f"a unique key is taken already: {redact(str(error))[:300]}") from error
    except ServerSelectionTimeoutError as error:
        # The driver's text lists every server with its whole state; the first one's reason says it.
        reason = redact(str(error)).partition(" (configured timeouts")[0]
        raise StoreError(f"MongoDB can't be reached: {reason[:200]}") from error
    except (InvalidURI, ConfigurationError) as error:
        raise SettingError(f"JOBTRAIL_MONGO_URL is not a valid MongoDB URL: {redact(str(error))}") from error
    except PyMongoError as error:
        raise StoreError(f"MongoDB: {redact(str(error))[:300]}") from error


class Database:
    """One MongoDB database of the trail. `timeout_s` is how long an operation waits for a usable server."""

    def __init__(self, url: str, name: str, *, timeout_s: float = 5.0) -> None:
        driver_locks.mend()
        with translated():
            self.client: AsyncMongoClient[Document] = AsyncMongoClient(
                url,
                tz_aware=True,
                appname="jobtrail",
                serverSelectionTimeoutMS=int(timeout_s * 1000),
                connectTimeoutMS=int(timeout_s * 1000),
                socketTimeoutMS=int(timeout_s * 1000 * 6),
            )
        self.name = name
        self._database = self.sibling(name)
        self.extractions = self.collection("extractions")
        self.jobs = self.collection("jobs")
        self.leases = self.collection("leases")
        self.extractors = self.collection("extractors")
        self.extractor_instances = self.collection("extractor_instances")
        self.resume_tokens = self.collection("resume_tokens")
        self.outbox = self.collection("outbox")

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return one collection by name."""
        return self._database[name]

    def sibling(self, name: str) -> AsyncDatabase[Document]:
        """Return another database of the same server, read and written as safely as this one."""
        return self.client.get_database(
            name,
            codec_options=CodecOptions(document_class=dict, tz_aware=True),
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
        )

    async def __aenter__(self) -> "Database":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        # The server is told that our sessions end. They end by themselves too, so one that is away is not waited for.
        with pymongo.timeout(_CLOSE_TIMEOUT_S):
            await self.client.close()

    async def ping(self) -> str:
        """Ask the server for its version, such as `6.0.5`; one without a replica set is a `StoreError`."""
        with translated():
            hello = await self.client.admin.command("hello")
            if "setName" not in hello:
                raise StoreError("MongoDB is not a replica set: start mongod with --replSet and run rs.initiate()")
            return str((await self.client.server_info())["version"])

    async def ensure_indexes(self) -> None:
        """Create the indexes that are missing, and drop those of earlier versions; others are left as they are."""
        with translated():
            for name, former in _FORMER_INDEXES.items():
                # To drop an index waits for every open transaction; to look for it does not.
                if former in await self.collection(name).index_information():
                    await self.collection(name).drop_index(former)
            for name, indexes in INDEXES.items():
                await self.collection(name).create_indexes(indexes)

    async def transact(
        self, work: Callable[[AsyncClientSession], Awaitable[T]], session: AsyncClientSession | None = None
    ) -> T:
        """Run work in one transaction, majority committed; the driver retries it on passing conflicts.

        `work` gets the session that its operations must use, and may be called more than once. After a `StoreError` it
        is not known whether the transaction was committed.
        """
        with translated():
            async with nullcontext(session) if session else self.client.start_session() as used:
                # Without it the driver would try a commit again for two minutes, and a stop would wait for that.
                with pymongo.timeout(_TRANSACTION_TIMEOUT_S):
                    return await used.with_transaction(
                        work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
                    )

"""The connection to MongoDB, the collections and their indexes."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import TypeVar

from bson import CodecOptions
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import (
    ConfigurationError,
    DuplicateKeyError,
    InvalidURI,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from models.errors import OwnershipLostError, SettingError, StoreError
from models.redaction import redact

Document = dict[str, object]
T = TypeVar("T")

INDEXES: dict[str, list[IndexModel]] = {
    "extractions": [
        IndexModel([("job_id", 1), ("position", 1)], name="timeline"),
        IndexModel([("file_id", 1), ("extractor_id", 1), ("job_id", 1), ("seq", 1)], name="resource"),
        IndexModel(
            [("message_id", 1)],
            name="message_id",
            unique=True,
            partialFilterExpression={"message_id": {"$exists": True}},
        ),
    ],
    "jobs": [
        IndexModel([("updated_at", -1), ("_id", -1)], name="latest"),
        IndexModel([("status", 1), ("updated_at", -1), ("_id", -1)], name="status"),
        IndexModel([("extractor_id", 1), ("updated_at", -1), ("_id", -1)], name="extractor"),
        IndexModel([("resource_id", 1), ("updated_at", -1), ("_id", -1)], name="resource"),
        IndexModel([("user_id", 1), ("updated_at", -1), ("_id", -1)], name="user"),
    ],
    "deliveries": [IndexModel([("queue", 1), ("first_seq", 1)], name="chain", unique=True)],
    "extractors": [IndexModel([("name", 1)], name="name")],
    "extractor_instances": [
        IndexModel([("extractor", 1)], name="extractor"),
        IndexModel([("last_seen", 1)], name="expiry", expireAfterSeconds=7 * 24 * 3600),
    ],
}
"""Indexes by collection."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours.

    Raises:
        OwnershipLostError: A unique key is taken: someone else stored what was to be stored here.
        StoreError: Anything else that the database or the way to it made impossible.
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
        raise SettingError(f"JOBTRAIL_MONGO_URL is no usable MongoDB URL: {redact(str(error))}") from error
    except PyMongoError as error:
        raise StoreError(f"MongoDB: {redact(str(error))[:300]}") from error


class Database:
    """One MongoDB database of the trail.

    Args:
        url: The replica set's URL.
        name: The database's name.
        timeout_s: How long an operation waits for a usable server before it fails.
    """

    def __init__(self, url: str, name: str, *, timeout_s: float = 5.0) -> None:
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
        self._database = self.client.get_database(
            name,
            codec_options=CodecOptions(document_class=dict, tz_aware=True),
            write_concern=WriteConcern("majority"),
            read_concern=ReadConcern("majority"),
        )
        self.extractions = self.collection("extractions")
        self.jobs = self.collection("jobs")
        self.deliveries = self.collection("deliveries")
        self.leases = self.collection("leases")
        self.extractors = self.collection("extractors")
        self.extractor_instances = self.collection("extractor_instances")
        self.resume_tokens = self.collection("resume_tokens")

    def collection(self, name: str) -> AsyncCollection[Document]:
        """Return one collection by name."""
        return self._database[name]

    async def __aenter__(self) -> "Database":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def ping(self) -> str:
        """Ask the server for its version.

        Returns:
            The version, such as `6.0.5`.

        Raises:
            StoreError: It can't be reached, or is no replica set, without which there are no transactions.
        """
        with translated():
            hello = await self.client.admin.command("hello")
            if "setName" not in hello:
                raise StoreError(
                    "MongoDB is reached but is no replica set: start mongod with --replSet and run rs.initiate()"
                )
            return str((await self.client.server_info())["version"])

    async def ensure_indexes(self) -> None:
        """Create the indexes that are missing; existing ones are left as they are."""
        with translated():
            for name, indexes in INDEXES.items():
                await self.collection(name).create_indexes(indexes)

    async def transact(
        self, work: Callable[[AsyncClientSession], Awaitable[T]], session: AsyncClientSession | None = None
    ) -> T:
        """Run work in one transaction, majority committed; the driver retries it on passing conflicts.

        Args:
            work: Called with the session that its operations must use; may be called more than once.
            session: The session to use; None for one of its own.

        Returns:
            What the work returned.

        Raises:
            OwnershipLostError: A unique key was taken.
            StoreError: The transaction could not be committed, or it is unknown whether it was.
        """
        with translated():
            async with nullcontext(session) if session else self.client.start_session() as used:
                return await used.with_transaction(
                    work, read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
                )

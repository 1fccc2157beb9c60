"""How the database does, for `jobtrail doctor`; read only."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from jobtrail.store.database import INDEXES, Database, translated


@dataclass(slots=True, frozen=True, kw_only=True)
class DatabaseHealth:
    """How the database does."""

    version: str
    """The server's, such as `6.0.5`."""
    replica_set: str | None
    """Its name; None for a server without one."""
    clock_skew_s: float
    """How far the server's clock is ahead of ours, in seconds."""
    clock_error_s: float
    """How wrong that may be: half of what the question took, in seconds."""
    missing_indexes: Sequence[str]
    """As `collection.index`."""
    jobs: int
    """About how many there are."""
    events: int
    """About how many there are."""


async def diagnose(database: Database) -> DatabaseHealth:
    """Look at the database."""
    with translated():
        await database.client.admin.command("ping")  # so that connecting does not count as the answer's time
        sent_at = datetime.now(UTC)
        started = time.monotonic()
        hello = await database.client.admin.command("hello")
        took_s = time.monotonic() - started
        server_time: datetime = hello["localTime"]
        skew = server_time.replace(tzinfo=UTC) - (sent_at + timedelta(seconds=took_s / 2))
        info = await database.client.server_info()
        return DatabaseHealth(
            version=str(info["version"]),
            replica_set=hello.get("setName"),
            clock_skew_s=skew.total_seconds(),
            clock_error_s=took_s / 2,
            missing_indexes=await _missing_indexes(database),
            jobs=await database.jobs.estimated_document_count(),
            events=await database.extractions.estimated_document_count(),
        )


async def _missing_indexes(database: Database) -> list[str]:
    missing: list[str] = []
    for name, indexes in INDEXES.items():
        there = await database.collection(name).index_information()
        missing.extend(f"{name}.{index.document['name']}" for index in indexes if index.document["name"] not in there)
    return missing

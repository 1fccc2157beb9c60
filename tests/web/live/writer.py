"""Status updates for tests, stored as the consumer stores them."""

from datetime import UTC, datetime

from jobtrail.models.delivery import Entry
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate
from jobtrail.store.database import Database
from jobtrail.store.log.log import Log

Wish = tuple[str | None, str, str]
"""Job, resource and message of an update."""


class Writer:
    """Stores updates in batches, each in one transaction."""

    def __init__(self, database: Database) -> None:
        self._log = Log(database, "q")

    async def start(self) -> None:
        await self._log.take_over()
        self._position = await self._log.position()

    async def close(self) -> None:
        await self._log.close()

    async def store(self, *wishes: Wish) -> None:
        """Store updates in one transaction."""
        begun = self._position
        entries = [_entry(seq, *wish) for seq, wish in enumerate(wishes, begun.seq + 1)]
        self._position = begun.advanced(begun.offset + len(entries), {}, entries[-1].received_at, {})
        await self._log.append(begun, entries, self._position)

    async def say(self, *messages: str, job: str | None = "j-1", resource: str = "f-1") -> None:
        """Store updates of one job in one transaction."""
        await self.store(*((job, resource, message) for message in messages))


def _entry(seq: int, job_id: str | None, resource_id: str, message: str) -> Entry:
    now = datetime.now(UTC)
    update = StatusUpdate(
        extractor_id="x",
        resource_id=resource_id,
        job_id=job_id,
        status=f"PROCESSING: {message}",
        state=Status.PROCESSING,
        message=message,
        event_time=now,
    )
    return Entry(seq=seq, received_at=now, update=update)

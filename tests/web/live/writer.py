"""Status updates for tests, stored as the consumer stores them."""

from datetime import UTC, datetime

from models.delivery import FINGERPRINT_BYTES, Batch, Delivery
from models.status import Status
from models.wire import StatusUpdate
from store.database import Database
from store.trail import Trail

Wish = tuple[str | None, str, str]
"""Job, resource and message of an update."""


class Writer:
    """Stores updates in batches, each in one transaction."""

    def __init__(self, database: Database) -> None:
        self._trail = Trail(database)
        self._seq = 0

    async def start(self) -> None:
        await self._trail.take_over("q")

    async def close(self) -> None:
        await self._trail.close()

    async def store(self, *wishes: Wish) -> None:
        """Store updates in one transaction."""
        deliveries = [_delivery(*wish) for wish in wishes]
        await self._trail.store(Batch(queue="q", first_seq=self._seq + 1, deliveries=deliveries, anchors=[1]))
        self._seq += len(deliveries)

    async def say(self, *messages: str, job: str | None = "j-1", resource: str = "f-1") -> None:
        """Store updates of one job in one transaction."""
        await self.store(*((job, resource, message) for message in messages))


def _delivery(job_id: str | None, resource_id: str, message: str) -> Delivery:
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
    return Delivery(fingerprint=bytes(FINGERPRINT_BYTES), received_at=now, update=update)

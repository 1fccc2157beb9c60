"""The yardstick: receives, parses, bulk-writes the same documents and acknowledges in the same batches; nothing else.

It keeps no order of deliveries, recognises no redelivery, reads no jobs and has no transaction. Run as a process.
"""

import asyncio
import signal
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime

import aiormq
from aiormq.abc import DeliveredMessage
from bson import ObjectId
from pymongo import ReplaceOne

from consumer.intake import FRAME_BUFFER
from models.job import Event, Placement, fold
from models.settings import Settings, load_settings
from models.wire import StatusUpdate, decode_status_update
from store.database import Database
from store.documents import event_document, job_document


class BareLoop:
    """Takes a queue in.

    Args:
        settings: Services, names and batch sizes, as the consumer's.
        database: Where it writes.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._waiting: deque[DeliveredMessage] = deque()
        self._arrived = asyncio.Event()
        self._positions: Counter[str] = Counter()
        self._seq = 0

    async def run(self) -> None:
        """Take in until cancelled."""
        connection = await aiormq.connect(self._settings.require_amqp_url())
        channel = await connection.channel(publisher_confirms=False, frame_buffer_size=FRAME_BUFFER)
        await channel.basic_qos(prefetch_count=self._settings.prefetch)
        await channel.basic_consume(self._settings.reply_queue, self._on_message)
        try:
            while True:
                batch = await self._take()
                await self._write(batch)
                await channel.basic_ack(batch[-1].delivery_tag or 0, multiple=True, wait=False)
        finally:
            await connection.close()

    async def _on_message(self, message: DeliveredMessage) -> None:
        self._waiting.append(message)
        self._arrived.set()

    async def _take(self) -> list[DeliveredMessage]:
        if not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        if len(self._waiting) < self._settings.batch_max_count:
            await asyncio.sleep(self._settings.batch_max_wait_ms / 1000)
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._settings.batch_max_count))]

    async def _write(self, batch: Sequence[DeliveredMessage]) -> None:
        now = datetime.now(UTC)
        latest: dict[str, StatusUpdate] = {}
        events = []
        for message in batch:
            update = decode_status_update(message.body, max_bytes=self._settings.max_body_bytes)
            job_id = update.job_id or ""
            latest[job_id] = update
            self._positions[job_id] += 1
            self._seq += 1
            event = Event(
                id=str(ObjectId()),
                queue=self._settings.reply_queue,
                seq=self._seq,
                received_at=now,
                update=update,
                placement=Placement(position=self._positions[job_id], attempt=1, late=False),
                correlation_id=message.header.properties.correlation_id,
            )
            events.append(event_document(event))
        jobs = [
            ReplaceOne({"_id": job_id}, job_document(fold(None, update, now)[0]), upsert=True)
            for job_id, update in latest.items()
        ]
        await self._database.extractions.insert_many(events, ordered=False)
        await self._database.jobs.bulk_write(jobs, ordered=False)


async def main() -> None:
    """Take in until SIGTERM."""
    settings = load_settings()
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        work = asyncio.create_task(BareLoop(settings, database).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
        await asyncio.wait([work])
        if not work.cancelled():
            work.result()


if __name__ == "__main__":
    asyncio.run(main())

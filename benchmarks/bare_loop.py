"""The yardstick: reads the same stream, parses, bulk-writes the same documents and the position; nothing else.

It reads with pika as it is, keeps no fingerprints, counts nothing, reads no jobs and has no transaction. Run as a
process.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pika
from bson import ObjectId
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.channel import Channel
from pika.spec import Basic
from pymongo import ReplaceOne

from benchmarks.yardstick import run_until_sigterm
from jobtrail.models.jobs.job import Event, Placement, fold
from jobtrail.models.jobs.wire import StatusUpdate, decode_status_update
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.jobs.documents import event_document, job_document

_Message = tuple[int, int, str | None, bytes]
"""Delivery tag, offset, correlation id and body."""


class BareLoop:
    """Takes a stream in.

    Args:
        settings: Services, names and batch sizes, as the consumer's.
        database: Where it writes.
    """

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._channel: Channel | None = None
        self._waiting: deque[_Message] = deque()
        self._arrived = asyncio.Event()
        self._positions: Counter[str] = Counter()

    async def run(self) -> None:
        """Take in until cancelled."""
        connection = AsyncioConnection(
            pika.URLParameters(self._settings.require_amqp_url()),
            on_open_callback=lambda opened: opened.channel(on_open_callback=self._on_channel),
        )
        try:
            while True:
                batch = await self._take()
                await self._write(batch)
                if self._channel is not None:
                    self._channel.basic_ack(batch[-1][0], multiple=True)
        finally:
            connection.close()

    def _on_channel(self, channel: Channel) -> None:
        self._channel = channel
        stream, arguments = self._settings.reply_stream, {"x-stream-offset": "first"}
        channel.basic_qos(
            prefetch_count=self._settings.prefetch,
            callback=lambda _frame: channel.basic_consume(stream, self._on_message, arguments=arguments),
        )

    def _on_message(
        self, _channel: Channel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        offset = cast("int", (properties.headers or {})["x-stream-offset"])
        self._waiting.append((method.delivery_tag or 0, offset, properties.correlation_id, body))
        self._arrived.set()

    async def _take(self) -> list[_Message]:
        if not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), self._settings.batch_max_count))]

    async def _write(self, batch: Sequence[_Message]) -> None:
        now = datetime.now(UTC)
        latest: dict[str, StatusUpdate] = {}
        events = []
        for _tag, offset, correlation_id, body in batch:
            update = decode_status_update(body, max_bytes=self._settings.max_body_bytes)
            job_id = update.job_id or ""
            latest[job_id] = update
            self._positions[job_id] += 1
            event = Event(
                id=str(ObjectId()),
                queue=self._settings.reply_stream,
                seq=offset + 1,
                received_at=now,
                update=update,
                placement=Placement(position=self._positions[job_id], attempt=1, late=False),
                correlation_id=correlation_id,
            )
            events.append(event_document(event))
        jobs = [
            ReplaceOne({"_id": job_id}, job_document(fold(None, update, now)[0]), upsert=True)
            for job_id, update in latest.items()
        ]
        await self._database.extractions.insert_many(events, ordered=False)
        await self._database.jobs.bulk_write(jobs, ordered=False)
        await self._database.collection("positions").update_one(
            {"_id": f"stream {self._settings.reply_stream}"}, {"$set": {"offset": batch[-1][1]}}, upsert=True
        )


if __name__ == "__main__":
    asyncio.run(run_until_sigterm(lambda settings, database: BareLoop(settings, database).run()))

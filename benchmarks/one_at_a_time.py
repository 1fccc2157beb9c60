"""The other yardstick: stores one message at a time, in the steps of Clowder 2's listener. Run as a process.

Find the job, update it, insert the event, acknowledge; then the next message.
"""

import asyncio
from datetime import UTC, datetime

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from bson import ObjectId

from benchmarks.yardstick import run_until_sigterm
from jobtrail.models.jobs.job import Event, fold
from jobtrail.models.jobs.wire import decode_status_update
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.jobs.documents import event_document, job_document, job_from


async def consume(settings: Settings, database: Database) -> None:
    """Take in until cancelled.

    Args:
        settings: Services and names.
        database: Where it writes.
    """
    async with await aio_pika.connect(settings.require_amqp_url()) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=settings.prefetch)
        stream = await channel.get_queue(settings.reply_stream)
        async with stream.iterator(arguments={"x-stream-offset": "first"}) as messages:
            async for message in messages:
                await store(message, settings, database)
                await message.ack()


async def store(message: AbstractIncomingMessage, settings: Settings, database: Database) -> None:
    """Store one message.

    Args:
        message: The message.
        settings: For the names and limits.
        database: Where it goes.
    """
    update = decode_status_update(message.body, max_bytes=settings.max_body_bytes)
    received_at = datetime.now(UTC)
    found = await database.jobs.find_one({"_id": update.job_id})
    job, placement = fold(job_from(found) if found else None, update, received_at)
    await database.jobs.replace_one({"_id": job.job_id}, job_document(job), upsert=True)
    event = Event(
        id=str(ObjectId()),
        queue=settings.reply_stream,
        seq=message.delivery_tag or 0,
        received_at=received_at,
        update=update,
        placement=placement,
        correlation_id=message.correlation_id,
    )
    await database.extractions.insert_one(event_document(event))


if __name__ == "__main__":
    asyncio.run(run_until_sigterm(consume))

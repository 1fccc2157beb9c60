"""Copies the updates of a queue into the stream: the reply queue of before, or a Clowder's own.

Copied, and confirmed; then acknowledged. So none is lost. A queue does not say which acknowledgements arrived, so what
is redelivered may have been copied before: each copy says whether it was redelivered, and by which of the
queue's bridges, one after another, it was copied. The consumer marks what may be a repetition (`store.log.repeats`).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog
from prometheus_client import Counter

from jobtrail.broker.channel import Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.declaring import find_queue
from jobtrail.broker.inbox import Inbox
from jobtrail.broker.poison import poison_in
from jobtrail.broker.properties import changed
from jobtrail.broker.sender import BulkSender, Message
from jobtrail.consumer.bridge_mark import mark_headers
from jobtrail.models.delivery import BridgeMark
from jobtrail.models.errors import BrokerError, DecodeError, NotFoundError, PoisonError
from jobtrail.models.jobs.wire import load_object
from jobtrail.models.settings import Settings
from jobtrail.models.topology import stream_of
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.leases.terms import next_term

log = structlog.get_logger()

_BATCH_COUNT = 500
_BATCH_BYTES = 4 * 1024 * 1024
_SEND_TIMEOUT_S = 30.0
_IDLE_S = 1.0
_PERSISTENT = 2


class Bridge:
    """Copies one queue over two connections: the broker may block the one that publishes, acknowledgements go on.

    The queue is never declared, only read.
    """

    def __init__(
        self, queue: str, settings: Settings, database: Database, copied: Counter, stop: asyncio.Event
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._database = database
        self._copied = copied
        self._stop = stop
        self._source = Connection(settings.require_amqp_url(), f"jobtrail bridge from {queue}")
        self._sender = self._new_sender()
        self._inbox: Inbox[Delivery] = Inbox(self._source)

    async def run(self, tell: Callable[[str], None]) -> None:
        """Copy until told to stop; what is being copied then is acknowledged, the rest stays in its queue."""
        async with self._source:
            await find_queue(self._source, self._queue)
            await self._await_streams(tell)
            await self._sender.open()
            try:
                await self._copy_all(tell)
            finally:
                await self._sender.close()

    async def _copy_all(self, tell: Callable[[str], None]) -> None:
        term = await next_term(self._database, f"bridge {self._queue}")
        channel = await self._source.channel()
        channel.on_lost(self._inbox.arrived.set)
        await channel.set_prefetch(self._settings.prefetch)
        await channel.consume(self._queue, self._inbox.put)
        tell("bridging")
        log.info("bridging", action="bridge.bridging", queue=self._queue, term=term)
        while not self._stop.is_set():
            channel.raise_if_lost()
            batch = self._inbox.take(_BATCH_COUNT, _BATCH_BYTES)
            if batch:
                await self._copy(batch, term)
                channel.acknowledge(batch[-1].tag)
                self._inbox.release(batch)
            else:
                await sleep_until(_IDLE_S, self._inbox.arrived, self._stop)

    async def _copy(self, batch: Sequence[Delivery], term: int) -> None:
        marks = [BridgeMark(queue=self._queue, term=term, redelivered=delivery.redelivered) for delivery in batch]
        try:
            await self._send([self._message(delivery, mark) for delivery, mark in zip(batch, marks, strict=True)])
        except PoisonError as error:
            log.warning("copying one by one", action="bridge.poison", queue=self._queue, error=str(error))
            for delivery, mark in zip(batch, marks, strict=True):
                await self._copy_alone(delivery, replace(mark, redelivered=True))
        self._copied.labels(self._queue).inc(len(batch))

    async def _copy_alone(self, delivery: Delivery, mark: BridgeMark) -> None:
        """Copy an update of a batch over which the broker closed the connection: it may be there already, or be why."""
        await self._reconnect()
        try:
            await self._send([self._message(delivery, mark)])
        except PoisonError as error:
            log.warning("properties are left out", action="bridge.properties", queue=self._queue, reason=str(error))
            await self._reconnect()
            await self._send([self._plain_message(delivery, mark)])

    async def _send(self, messages: Sequence[Message]) -> None:
        refused = await self._sender.send(messages, _SEND_TIMEOUT_S)
        if refused:
            raise BrokerError(f"RabbitMQ refused {len(refused):,} copies of {self._queue}'s updates")

    async def _reconnect(self) -> None:
        """Open another connection, where the broker has closed the one that publishes, or its channel."""
        if self._sender.is_lost:
            await self._sender.close()
            self._sender = self._new_sender()
            await self._sender.open()

    def _new_sender(self) -> BulkSender:
        return BulkSender(self._settings.require_amqp_url(), f"jobtrail bridge of {self._queue}")

    def _message(self, delivery: Delivery, mark: BridgeMark) -> Message:
        headers: dict[str, object | None] = {**dict.fromkeys(("CC", "BCC")), **mark_headers(mark)}
        properties = changed(delivery.raw, headers=headers, delivery_mode=_PERSISTENT, expiration=None, user_id=None)
        poison = poison_in(properties, to_stream=True)
        if poison is not None:
            log.warning("properties are left out", action="bridge.properties", queue=self._queue, reason=poison)
            return self._plain_message(delivery, mark)
        return Message(routing_key=self._stream_of(delivery.body), body=delivery.body, properties=properties)

    def _plain_message(self, delivery: Delivery, mark: BridgeMark) -> Message:
        """Make a message whose properties the stream takes for certain: its body is what counts."""
        properties = changed(b"\0\0", headers=mark_headers(mark), delivery_mode=_PERSISTENT)
        return Message(routing_key=self._stream_of(delivery.body), body=delivery.body, properties=properties)

    def _stream_of(self, body: bytes) -> str:
        """Choose the stream by the job, or for an update without a job by extractor and resource."""
        settings = self._settings
        if settings.reply_partitions == 1:
            return settings.reply_stream
        try:
            fields = load_object(body, settings.max_body_bytes)
        except DecodeError:
            fields = {}
        key = fields.get("job_id") or f"{fields.get('extractor_id')}/{fields.get('file_id')}"
        return stream_of(settings.reply_stream, settings.reply_partitions, str(key))

    async def _await_streams(self, tell: Callable[[str], None]) -> None:
        """Wait until every stream is there: a batch that only some of them take is copied twice."""
        while not self._stop.is_set():
            try:
                for stream in self._settings.reply_streams:
                    await find_queue(self._source, stream)
                return
            except NotFoundError as error:
                tell(f"waiting: {error}")
                await sleep_until(_IDLE_S, self._stop)

"""The owner of one stream: reads it from its position on, and stores what it reads together with the position."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from jobtrail.broker.declaring import declare_as_it_is, find_queue
from jobtrail.consumer.metrics import ConsumerMetrics
from jobtrail.consumer.order import Order
from jobtrail.consumer.reader import Received, end_by_now
from jobtrail.consumer.resume import new_epoch
from jobtrail.consumer.status_updates import UpdateReader
from jobtrail.consumer.stream_worker import StreamWorker, behind
from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.delivery import Entry
from jobtrail.models.errors import DecodeError, NotFoundError, StoreError
from jobtrail.models.incident import CONSUMER, IncidentKind
from jobtrail.models.position import Position
from jobtrail.models.settings import Settings
from jobtrail.models.topology import stream_arguments
from jobtrail.store.database import Database
from jobtrail.store.log.log import Log
from jobtrail.store.log.repeats import latest_terms

log = structlog.get_logger()

_LOOK_WAIT_S = 0.5


class Partition(StreamWorker):
    """Stores one stream. `order` keeps jobs in order that move from one stream to another one."""

    _SERVICE = "consumer"
    _STATE = "reading"

    def __init__(
        self,
        stream: str,
        settings: Settings,
        database: Database,
        *,
        metrics: ConsumerMetrics,
        order: Order,
        stop: asyncio.Event,
        attempt: int = 0,
    ) -> None:
        self._log = Log(database, stream)
        super().__init__(
            settings,
            self._log,
            metrics,
            stream=stream,
            reader_name=CONSUMER,
            connection_name=f"jobtrail consumer of {stream}",
            stop=stop,
            attempt=attempt,
        )
        self._metrics = metrics
        self._order = order
        self._updates = UpdateReader(stream, settings.max_body_bytes)
        self._received_at: datetime | None = None
        self._received_ms = 0
        self._look: tuple[datetime, int] | None = None
        """When it was looked how far the stream goes, and how far it went."""
        metrics.show(stream)

    async def _prepare(self, position: Position) -> Position:
        """Declare the stream; one that is gone begins a new epoch, noted before it can hold a message."""
        try:
            await find_queue(self._connection, self._stream)
            return position
        except NotFoundError:
            if self._stream not in self._settings.reply_streams:
                if self._stream not in self._order.present:
                    await self._log.note_gone()
                raise
        if position.seq:
            resumed = new_epoch(position, CONSUMER, IncidentKind.RECREATED, 0)
            await self._begin_epoch(position, resumed)
            position = resumed.position
        settings = self._settings
        arguments = stream_arguments(
            retention_days=settings.stream_retention_days,
            retention_gb=settings.stream_retention_gb,
            segment_mb=settings.stream_segment_mb,
        )
        await declare_as_it_is(self._connection, self._stream, arguments)
        return position

    async def _is_same(self, position: Position, received: Received) -> bool:
        seq = position.seq_of(received.offset)
        return await self._log.is_stored(self._updates.read(received.delivery, seq, datetime.now(UTC)))

    async def _read_on(self, position: Position) -> None:
        self._received_at = position.received_at
        self._metrics.connected.labels(self._stream).set(1)
        await super()._read_on(position)

    async def _process(self, taken: Sequence[Received], position: Position) -> Position | None:
        self._metrics.received.labels(self._stream).inc(len(taken))
        entries = [
            self._updates.read(received.delivery, position.seq_of(received.offset), self._arrival(received.received_ms))
            for received in taken
        ]
        if not await self._order.wait(self._stream, entries[-1].received_at, self._stop):
            return None
        return await self._store(taken, entries, position)

    async def _store(self, taken: Sequence[Received], entries: Sequence[Entry], position: Position) -> Position:
        """Store a batch; a document that the database refuses is found by halving, and becomes a dead letter."""
        bridges = latest_terms(position.bridges, [entry.bridge for entry in entries if entry.bridge])
        last = behind(position, taken, entries[-1].received_at, bridges)
        begun = time.perf_counter()
        try:
            stored = await self._log.append(position, entries, last)
        except DecodeError as error:
            half = len(entries) // 2
            if half:
                middle = await self._store(taken[:half], entries[:half], position)
                return await self._store(taken[half:], entries[half:], middle)
            if not self._updates.refuse(entries[0], taken[0].delivery, error):
                raise StoreError(f"the database refuses even dead letters: {error.detail}") from error
            return await self._store(taken, entries, position)
        except StoreError:
            self._metrics.holds.labels(self._stream).inc()
            raise
        self._metrics.store_seconds.labels(self._stream).observe(time.perf_counter() - begun)
        self._metrics.batch_size.labels(self._stream).observe(len(entries))
        self._metrics.stored.labels(self._stream).inc(stored.stored)
        self._metrics.duplicates.labels(self._stream, "message_id").inc(stored.duplicates)
        self._metrics.maybe_repeated.labels(self._stream).inc(stored.maybe_repeated)
        for entry in entries:
            if entry.letter is not None:
                self._note_refused(entry.letter)
        return last

    def _note_refused(self, letter: DeadLetter) -> None:
        self._metrics.dead_lettered.labels(self._stream, letter.cause.reason).inc()
        log.warning(
            "dead letter stored",
            action="consumer.dead_letter",
            reason=letter.cause.reason,
            error=letter.error,
            stream=self._stream,
            seq=letter.seq,
            size_bytes=letter.size_bytes,
        )

    def _arrival(self, received_ms: int) -> datetime:
        """Keep the times of arrival in the order of arrival, also where the clock was set back."""
        if self._received_at is None or received_ms > self._received_ms:
            self._received_ms = received_ms
            moment = datetime.fromtimestamp(received_ms / 1000, UTC)
            self._received_at = max(moment, self._received_at or moment)
        return self._received_at

    async def _note_progress(self, position: Position) -> None:
        """Note up to which moment all is stored, for the streams that wait for this one."""
        if self._stop.is_set():
            return
        if self._look is None:
            moment = await self._order.look(self._stream)
            if moment is None:
                return
            end = await end_by_now(self._connection, self._stream, _LOOK_WAIT_S)
            self._look = moment, -1 if end is None else end
        moment, end = self._look
        if position.offset >= end:
            self._look = None
            await self._log.note_caught_up(moment)

    async def _close(self) -> None:
        self._metrics.connected.labels(self._stream).set(0)
        await super()._close()

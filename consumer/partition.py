"""The owner of one stream: reads it from its position on, and stores what it reads together with the position."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from jobtrail.broker.connection import Connection
from jobtrail.broker.declaring import declare_as_it_is
from jobtrail.consumer.metrics import StreamMetrics
from jobtrail.consumer.order import Order
from jobtrail.consumer.reader import Received, StreamReader, end_by_now
from jobtrail.consumer.resume import Resumed, Resumption, begin_epoch, look_at_end, look_at_gaps, new_epoch
from jobtrail.consumer.status_updates import UpdateReader
from jobtrail.models.delivery import Entry
from jobtrail.models.errors import DecodeError, NotFoundError, StoreError
from jobtrail.models.incident import CONSUMER, IncidentKind
from jobtrail.models.position import REMEMBERED, Position
from jobtrail.models.settings import Settings
from jobtrail.models.topology import stream_arguments
from jobtrail.store.database import Database
from jobtrail.store.log.log import Log
from jobtrail.store.log.repeats import latest_terms

log = structlog.get_logger()

MAX_BATCH_BYTES = 4 * 1024 * 1024
IDLE_S = 1.0
"""Seconds without a message after which the owner notes that it has caught up."""
_LOOK_WAIT_S = 0.5
_WATCH_EVERY = 10
"""Idle seconds after which it looks whether the stream really ends where it stands."""


class Partition:
    """Reads and stores one stream over one connection. The caller holds the stream's lease.

    Args:
        stream: The stream.
        settings: The settings.
        database: The trail's database.
        metrics: What is counted.
        order: Keeps jobs in order that move from one stream to another one.
        stop: Set when this process should leave the stream.
        attempt: How often this was tried before in a row; each time another node of the cluster is the first one asked.
    """

    def __init__(
        self,
        stream: str,
        settings: Settings,
        database: Database,
        *,
        metrics: StreamMetrics,
        order: Order,
        stop: asyncio.Event,
        attempt: int = 0,
    ) -> None:
        self._stream = stream
        self._settings = settings
        self._metrics = metrics
        self._order = order
        self._stop = stop
        self._log = Log(database, stream)
        self._updates = UpdateReader(stream, settings.max_body_bytes)
        url, name = settings.require_amqp_url(), f"jobtrail consumer of {stream}"
        self._connection = Connection(url, name, first_node=attempt)
        self._reader = StreamReader(self._connection, stream, settings.prefetch)
        self._received_at: datetime | None = None
        self._received_ms = 0
        self._look: tuple[datetime, int] | None = None
        """When it was looked how far the stream goes, and how far it went."""

    async def open(self) -> Position | None:
        """Connect, and attach behind what is stored.

        Returns:
            The position; None when it was time to leave.

        Raises:
            BrokerError: The broker can't be reached or refuses.
            NotFoundError: It is a stream of a former layout, and gone.
            OwnershipLostError: Another process has stored this stream meanwhile.
            StoreError: The database can't be reached.
        """
        await self._connection.open()
        await self._log.take_over()
        position = await self._declared(await self._log.position())
        resumption = Resumption(
            self._connection, self._reader, position, lambda received: self._is_stored(position, received), CONSUMER
        )
        resumed = await resumption.resume(self._stop)
        if resumed is None:
            return None
        if resumed.incident is not None:
            await self._begin_epoch(position, resumed)
        self._received_at = resumed.position.received_at
        self._metrics.connected.set(1)
        self._metrics.position.set(resumed.position.offset)
        log.info("reading", action="consumer.reading", stream=self._stream, offset=resumed.position.offset + 1)
        return resumed.position

    async def run(self, position: Position) -> None:
        """Read and store until told to stop.

        Args:
            position: What `open` returned.

        Raises:
            BrokerError: The connection was lost, or the stream is not handed out as it should be.
            OwnershipLostError: Another process has stored this stream meanwhile.
            StoreError: The database could not be reached; what was not stored is read again.
        """
        idle = 0
        while not self._stop.is_set():
            taken = await self._reader.take(
                max_count=self._settings.batch_max_count, max_bytes=MAX_BATCH_BYTES, wait_s=IDLE_S
            )
            if taken:
                idle = 0
                position = await self._process(taken, position)
                if not self._stop.is_set():
                    await self._note_caught_up(position)
            elif not self._stop.is_set():
                idle += 1
                await self._rest(position, idle)

    async def close(self) -> None:
        """Close the connection."""
        self._metrics.connected.set(0)
        await self._connection.close()
        try:
            await self._log.close()
        except StoreError as error:
            log.debug("closing failed", action="consumer.close_failed", error=str(error))

    def wake(self) -> None:
        """End a wait for messages, as it is time to stop."""
        self._reader.wake()

    async def _declared(self, position: Position) -> Position:
        """Declare the stream; one that is gone begins a new epoch, noted before it can hold a message."""
        channel = await self._connection.channel()
        try:
            await channel.declare_queue(self._stream, passive=True)
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
        finally:
            await channel.close()
        settings = self._settings
        arguments = stream_arguments(
            retention_days=settings.stream_retention_days,
            retention_gb=settings.stream_retention_gb,
            segment_mb=settings.stream_segment_mb,
        )
        await declare_as_it_is(self._connection, self._stream, arguments)
        return position

    async def _begin_epoch(self, position: Position, resumed: Resumed) -> None:
        await begin_epoch(self._log, position, resumed, self._settings.slack_channel)
        if resumed.incident is not None:
            self._metrics.incidents.labels(resumed.incident.kind).inc()

    async def _is_stored(self, position: Position, received: Received) -> bool:
        seq = position.seq_of(received.offset)
        return await self._log.is_stored(self._updates.read(received.delivery, seq, datetime.now(UTC)))

    async def _process(self, taken: Sequence[Received], position: Position) -> Position:
        await look_at_gaps(self._connection, position, taken)
        self._metrics.received.inc(len(taken))
        entries = [
            self._updates.read(received.delivery, position.seq_of(received.offset), self._arrival(received.received_ms))
            for received in taken
        ]
        if not await self._order.wait(self._stream, entries[-1].received_at, self._stop):
            return position  # what is not stored is read again, by whoever comes next
        position = await self._store(taken, entries, position)
        self._reader.done(taken)
        return position

    async def _store(self, taken: Sequence[Received], entries: Sequence[Entry], position: Position) -> Position:
        """Store a batch; a document that the database refuses is found by halving, and becomes a dead letter."""
        marks = {each.offset: each.fingerprint for each in taken[-REMEMBERED:]}
        bridges = latest_terms(position.bridges, [entry.bridge for entry in entries if entry.bridge])
        last = position.advanced(taken[-1].offset, marks, entries[-1].received_at, bridges)
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
            self._metrics.holds.inc()
            raise
        self._metrics.store_seconds.observe(time.perf_counter() - begun)
        self._metrics.batch_size.observe(len(entries))
        self._metrics.stored.inc(stored.stored)
        self._metrics.duplicates.labels("message_id").inc(stored.duplicates)
        self._metrics.maybe_repeated.inc(stored.maybe_repeated)
        self._metrics.position.set(last.offset)
        self._tell_refused(entries)
        return last

    def _tell_refused(self, entries: Sequence[Entry]) -> None:
        for letter in (entry.letter for entry in entries):
            if letter is not None:
                self._metrics.dead_lettered.labels(letter.cause.reason).inc()
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

    async def _rest(self, position: Position, idle: int) -> None:
        """Nothing came for a while."""
        await self._note_caught_up(position)
        if idle % _WATCH_EVERY == 0:
            await look_at_end(self._connection, position, self._reader)

    async def _note_caught_up(self, position: Position) -> None:
        """Note up to which moment all is stored, for the streams that wait for this one."""
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

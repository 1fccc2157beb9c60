"""One connection's worth of consuming: from opening the channel to its end, clean or not."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

import structlog

from consumer.intake import Intake, Received
from consumer.metrics import QueueMetrics
from consumer.window import Window
from heartbeat.pause import pause
from models.delivery import Batch, Delivered, Position, StoredBatch, fingerprint
from models.errors import DecodeError, OwnershipLostError, StoreError, UnreachableError
from models.settings import Settings
from publisher.backoff import Backoff

log = structlog.get_logger()

IDLE_S = 1.0
"""Seconds without a message after which even the anchor is acknowledged."""
MAX_BATCH_BYTES = 4 * 1024 * 1024


D = TypeVar("D", bound=Delivered)


class Reader(Protocol[D]):
    """What is made of the messages of a queue."""

    async def open(self) -> None:
        """Get ready; raises `BrokerError`."""

    async def close(self) -> None:
        """The end; raises `BrokerError`."""

    def read(self, received: Received, fingerprint: bytes, received_at: datetime) -> tuple[D, DecodeError | None]:
        """Make of a message what is to be stored; and tell why it can't be processed, where it can't."""

    async def refuse(self, seq: int, received: Received, delivery: D, error: DecodeError) -> D:
        """Put away what can't be processed, and return what is to be stored of it instead; raises `BrokerError`."""


class Keeper(Protocol[D]):
    """Where batches are stored; see `store.chain.Chain`."""

    async def take_over(self, queue: str) -> None:
        """Become the one that stores a queue's messages."""

    async def position(self, queue: str) -> Position:
        """Read how far a queue has been stored."""

    async def store(self, batch: Batch[D]) -> StoredBatch:
        """Store one batch, whole or not at all."""

    async def move_anchor(self, queue: str, last_seq: int, anchor: int, *, fresh: bool = False) -> None:
        """Note what was acknowledged without storing anything new."""

    async def close(self) -> None:
        """Give back what it holds."""


@dataclass(slots=True)
class Numbered(Generic[D]):
    """A new message, its number, and what is to be stored of it."""

    seq: int
    received: Received
    delivery: D


class Session(Generic[D]):
    """Consumes one queue over one connection, and stores each of its messages exactly once.

    Args:
        queue: The queue.
        intake: Takes its messages.
        reader: What is made of them.
        keeper: Where they are stored.
        settings: For the sizes of batches and of the prefetch window.
        metrics: What is counted.
        stop: Set when the process should leave.
    """

    def __init__(
        self,
        queue: str,
        *,
        intake: Intake,
        reader: Reader[D],
        keeper: Keeper[D],
        settings: Settings,
        metrics: QueueMetrics,
        stop: asyncio.Event,
    ) -> None:
        self._queue = queue
        self._intake = intake
        self._reader = reader
        self._keeper = keeper
        self._settings = settings
        self._metrics = metrics
        self._stop = stop
        self._window: Window | None = None
        self._received_at: datetime | None = None
        self._received_ms = 0
        self._settled = False

    async def open(self) -> None:
        """Connect and begin to consume.

        Raises:
            BrokerError: The broker can't be reached or refuses.
        """
        await self._reader.open()
        await self._intake.open()
        self._metrics.connected.set(1)
        log.info("consuming", action="consumer.consuming", queue=self._queue)

    async def run(self) -> None:
        """Consume until told to stop; then finish the batch, acknowledge and leave.

        Raises:
            BrokerError: The connection was lost.
            OwnershipLostError: Another consumer stored from this queue.
            StoreError: The database could not be reached when the position was read or noted.
        """
        while not self._stop.is_set():
            await self._step()
        if self._window is not None:
            await self._release(self._window)
            await self._settle(self._window)

    async def close(self) -> None:
        """Close the connection; what is unacknowledged goes back to the queue."""
        self._metrics.connected.set(0)
        for part in (self._intake, self._reader, self._keeper):
            try:
                await part.close()
            except UnreachableError as error:
                log.debug("closing failed", action="consumer.close_failed", error=str(error))

    async def _step(self) -> None:
        taken = await self._take()
        if taken and self._window is None:
            # Not before the first message: until then another consumer may have been the active one and stored more.
            await self._keeper.take_over(self._queue)
            position = await self._keeper.position(self._queue)
            self._window = Window(position, limit=self._settings.prefetch)
            self._received_at = position.received_at
        if self._window is None:
            return
        if taken:
            await self._process(taken, self._window)
            self._intake.done(taken)
        elif self._window.unacknowledged:
            await self._release(self._window)
        elif not self._settled:
            await self._settle(self._window)
        self._metrics.unacknowledged.set(self._window.unacknowledged)

    async def _process(self, taken: Sequence[Received], window: Window) -> None:
        self._metrics.received.inc(len(taken))
        new: list[Numbered[D]] = []
        refused: list[tuple[Numbered[D], DecodeError]] = []
        for received in taken:
            properties = received.properties
            mark = fingerprint(received.body, properties.message_id, properties.correlation_id)
            seq = window.place(mark, redelivered=received.redelivered, tag=received.tag)
            if seq is None:
                continue
            delivery, error = self._reader.read(received, mark, self._arrival(received.received_ms))
            new.append(Numbered(seq, received, delivery))
            if error is not None:
                refused.append((new[-1], error))
        self._metrics.duplicates.labels("redelivery").inc(len(taken) - len(new))
        await asyncio.gather(*(self._refuse(numbered, error) for numbered, error in refused))
        if new:
            await self._store_isolating(new, window)
        elif 2 * window.unacknowledged >= self._settings.prefetch:
            await self._release(window)

    async def _take(self) -> Sequence[Received]:
        """Take what waits, but wake up at once when the process should leave."""
        take = asyncio.ensure_future(
            self._intake.take(
                max_count=self._settings.batch_max_count,
                max_bytes=MAX_BATCH_BYTES,
                wait_s=self._settings.batch_max_wait_ms / 1000,
                idle_s=IDLE_S,
            )
        )
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({take, stopping}, return_when=asyncio.FIRST_COMPLETED)
            # What is not taken is not stored: it stays in the queue for the next consumer.
            return take.result() if take.done() else ()
        finally:
            take.cancel()
            stopping.cancel()

    def _arrival(self, received_ms: int) -> datetime:
        """Keep the times of arrival in the order of arrival, also where the clock was set back."""
        if self._received_at is None or received_ms > self._received_ms:
            self._received_ms = received_ms
            moment = datetime.fromtimestamp(received_ms / 1000, UTC)
            self._received_at = max(moment, self._received_at or moment)
        return self._received_at

    async def _store_isolating(self, new: Sequence[Numbered[D]], window: Window) -> None:
        """Store a batch; if the database refuses one of its documents, only that one goes to the dead letters."""
        try:
            await self._store_holding(new, window)
        except DecodeError as error:
            if len(new) > 1:
                half = len(new) // 2
                await self._store_isolating(new[:half], window)
                await self._store_isolating(new[half:], window)
            else:
                (numbered,) = new
                await self._refuse(numbered, error)
                await self._store_holding(new, window)

    async def _store_holding(self, new: Sequence[Numbered[D]], window: Window) -> None:
        """Store a batch; while the database is away hold it and try again."""
        first_seq = new[0].seq
        fingerprints = [numbered.delivery.fingerprint for numbered in new]
        anchor = await self._anchor(first_seq, fingerprints, window)
        anchors, fresh = window.anchors_with(anchor)
        batch = Batch(
            queue=self._queue,
            first_seq=first_seq,
            deliveries=[numbered.delivery for numbered in new],
            anchors=anchors,
            fresh=fresh,
        )
        backoff = Backoff(most_s=self._settings.retry_max_wait_s)
        begun = time.perf_counter()
        while True:
            try:
                stored = await self._keeper.store(batch)
            except StoreError as error:
                self._metrics.holds.inc()
                wait_s = backoff.next_s()
                log.warning("holding a batch", action="consumer.hold", count=len(new), wait_s=wait_s, error=str(error))
                await pause(wait_s, self._stop)
                if self._stop.is_set():
                    words = "asked to stop while the database was away; what was not stored stays in the queue"
                    raise StoreError(words) from error
                if await self._was_stored(batch):
                    break
            else:
                self._metrics.stored.inc(stored.stored)
                self._metrics.duplicates.labels("message_id").inc(stored.duplicates)
                break
        self._settled = False
        self._metrics.batch_size.observe(len(new))
        self._metrics.store_seconds.observe(time.perf_counter() - begun)
        tag = window.stored(first_seq, fingerprints, anchor)
        if tag is not None:
            await self._intake.acknowledge(tag)

    async def _anchor(self, first_seq: int, fingerprints: Sequence[bytes], window: Window) -> int:
        anchor = window.choose_anchor(first_seq, fingerprints)
        if anchor is None and not self._intake.congested:
            # The stream repeats itself: knowing that the acknowledgements arrived leaves fewer anchors to differ from.
            await self._intake.wait_acknowledged()
            window.confirm()
            anchor = window.choose_anchor(first_seq, fingerprints)
        return window.head if anchor is None else anchor

    async def _was_stored(self, batch: Batch[D]) -> bool:
        """Find out whether a batch whose commit had no answer was committed.

        Raises:
            OwnershipLostError: Something else was stored in its place.
        """
        try:
            position = await self._keeper.position(self._queue)
        except StoreError:
            return False
        if position.last_seq == batch.first_seq - 1:
            return False
        if position.last_seq != batch.last_seq:
            raise OwnershipLostError(f"{self._queue} was stored up to {position.last_seq} by another consumer")
        return True

    async def _refuse(self, numbered: Numbered[D], error: DecodeError) -> None:
        numbered.delivery = await self._reader.refuse(numbered.seq, numbered.received, numbered.delivery, error)

    async def _release(self, window: Window) -> None:
        """Acknowledge everything that is stored, the anchor too."""
        if self._intake.congested:
            return
        tag = window.release_all()
        if tag is None:
            return
        await self._intake.acknowledge(tag)
        await self._intake.wait_acknowledged()
        await self._keeper.move_anchor(self._queue, window.stored_seq, window.head)

    async def _settle(self, window: Window) -> None:
        """Some time after all was acknowledged: from now on a redelivered message is one that was never stored."""
        if window.stored_seq and window.all_acknowledged:
            await self._keeper.move_anchor(self._queue, window.stored_seq, window.head, fresh=True)
            window.confirm()
        self._settled = True

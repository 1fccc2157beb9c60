"""Captures the messages of one dead-letter queue: each is stored, then acknowledged, so none is lost.

What was stored while its acknowledgement did not arrive comes again. It is recognised by its key, where it has one;
else it is stored once more, and marked (`store.dead_letters.repeats`).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256

import structlog

from jobtrail.broker.channel import Channel, Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.declaring import declare_as_it_is, lock
from jobtrail.broker.inbox import Inbox
from jobtrail.deadletters.letter_maker import LetterMaker, fingerprint, unstorable
from jobtrail.deadletters.metrics import CaptureMetrics
from jobtrail.models.errors import DecodeError, NotFoundError, UnreachableError
from jobtrail.models.settings import Settings
from jobtrail.models.topology import dead_letter_queue_arguments
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.capture import CapturedLetter, LetterTrail

log = structlog.get_logger()

MAX_BATCH_BYTES = 4 * 1024 * 1024
_LOOK_S = 1.0


class Capture:
    """Captures one queue over one connection."""

    def __init__(
        self, queue: str, settings: Settings, database: Database, metrics: CaptureMetrics, stop: asyncio.Event
    ) -> None:
        self._queue = queue
        self._settings = settings
        self._metrics = metrics
        self._stop = stop
        self._connection = Connection(settings.require_amqp_url(), f"jobtrail capture {queue}")
        self._inbox: Inbox[Delivery] = Inbox(self._connection)
        self._maker = LetterMaker(queue, settings, database)
        self._trail = LetterTrail(database, queue, fingerprint)
        self._channel: Channel | None = None

    async def open(self) -> None:
        """Connect and start taking messages.

        Raises:
            BusyError: Another process captures the queue.
            NotFoundError: The queue does not exist yet.
        """
        await self._connection.open()
        # A quorum queue of RabbitMQ 3.10 knows no exclusive consumer, and other people's queues have their arguments.
        right = f"jobtrail.capture.{sha256(self._queue.encode()).hexdigest()[:32]}"
        await lock(self._connection, right, f"another process captures {self._queue}")
        await self._find_queue()
        # Before the first message, and by a write: a queue may give up on messages that are redelivered too often, so
        # none is taken while the database is away.
        await self._trail.take_over()
        self._channel = channel = await self._connection.channel()
        await channel.set_prefetch(self._settings.prefetch)
        await channel.consume(self._queue, self._inbox.put)
        self._metrics.connected.set(1)
        log.info("capturing", action="dead_letters.capturing", queue=self._queue)

    async def run(self, on_stored: Callable[[], None]) -> None:
        """Capture until `stop` is set; the batch in hand is stored and acknowledged, the rest stays in the queue.

        `on_stored` is called after each batch.

        Raises:
            OwnershipLostError: Another process captures the queue now.
        """
        channel = self._channel
        if channel is None:
            raise RuntimeError("not open")
        while not self._stop.is_set():
            channel.raise_if_lost()
            batch = self._inbox.take(self._settings.batch_max_count, MAX_BATCH_BYTES)
            if batch:
                self._metrics.received.inc(len(batch))
                self._metrics.unacknowledged.set(len(batch) + len(self._inbox))
                await self._store(batch)
                on_stored()
                channel.acknowledge(batch[-1].tag)
                self._inbox.release(batch)
                self._metrics.unacknowledged.set(len(self._inbox))
            else:
                await sleep_until(_LOOK_S, self._inbox.arrived, self._stop, channel.lost)

    async def close(self) -> None:
        """Close the connection; unacknowledged messages return to the queue."""
        self._metrics.connected.set(0)
        self._metrics.unacknowledged.set(0)
        await self._connection.close()
        with suppress(UnreachableError):  # a database that is away forgets the session by itself
            await self._trail.close()

    async def _find_queue(self) -> None:
        if self._queue == self._settings.dead_letter_queue:
            await declare_as_it_is(self._connection, self._queue, dead_letter_queue_arguments())
            return
        channel = await self._connection.channel()
        try:
            await channel.declare_queue(self._queue, passive=True)
        except NotFoundError as error:
            raise NotFoundError(f"queue {self._queue!r} does not exist on the broker yet") from error
        await channel.close()

    async def _store(self, batch: Sequence[Delivery]) -> None:
        begun = time.perf_counter()
        letters = await self._maker.make(batch)
        await self._store_isolating(letters)
        self._metrics.batch_size.observe(len(batch))
        self._metrics.store_seconds.observe(time.perf_counter() - begun)

    async def _store_isolating(self, captured: Sequence[CapturedLetter]) -> None:
        """Store a batch; of a dead letter that the database refuses for good, only the bytes are kept."""
        try:
            stored = await self._trail.store(captured)
        except DecodeError as error:
            if len(captured) > 1:
                half = len(captured) // 2
                await self._store_isolating(captured[:half])
                await self._store_isolating(captured[half:])
                return
            (refused,) = captured
            log.error(
                "Dead letter is not storable as read",
                action="dead_letters.unstorable",
                queue=self._queue,
                error=str(error),
            )
            refused.letter = unstorable(refused.letter, error)
            stored = await self._trail.store(captured)
        self._metrics.stored.inc(stored.stored)
        self._metrics.duplicates.inc(stored.duplicates)
        self._metrics.maybe_repeated.inc(stored.maybe_repeated)

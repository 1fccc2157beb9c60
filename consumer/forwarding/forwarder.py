"""Copies one stream of updates to a queue that somebody else reads, such as the listener of a live Clowder.

A batch is copied, and confirmed; then the position behind it is stored. So nothing is missing at the target. What was
copied just before a crash is copied again, and can be recognised: both copies have the same message id.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from jobtrail.broker.connection import Connection
from jobtrail.consumer.forwarding.copies import CopyMaker
from jobtrail.consumer.forwarding.metrics import ForwarderMetrics
from jobtrail.consumer.forwarding.target import Target
from jobtrail.consumer.partition import IDLE_S, MAX_BATCH_BYTES
from jobtrail.consumer.reader import FIRST, Received, StreamReader, peek
from jobtrail.consumer.resume import Resumed, Resumption, begin_epoch, look_at_end, look_at_gaps, new_epoch
from jobtrail.models.errors import NotFoundError, StoreError
from jobtrail.models.incident import IncidentKind
from jobtrail.models.position import REMEMBERED, Position
from jobtrail.models.settings import Settings
from jobtrail.runtime.tasks import end
from jobtrail.store.database import Database
from jobtrail.store.log.log import StreamPosition

log = structlog.get_logger()

_WATCH_EVERY = 10
"""Idle seconds after which it looks whether the stream really ends where it stands, as the consumer does."""
_LOOK_WAIT_S = 5.0


class Forwarder:
    """Copies one stream over two connections: the broker may block the one that publishes. The caller holds the lease.

    Args:
        stream: The stream.
        to: The queue; it is never declared, only asked about.
        settings: The settings; the forwarder's name is the one of its position.
        database: The trail's database.
        metrics: What is counted.
        stop: Set when this process should leave the stream.
        attempt: How often this was tried before in a row; each time another node of the cluster is the first one asked.
        tell: Told what it does.
    """

    def __init__(
        self,
        stream: str,
        to: str,
        settings: Settings,
        database: Database,
        *,
        metrics: ForwarderMetrics,
        stop: asyncio.Event,
        attempt: int,
        tell: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._to = to
        self._settings = settings
        self._metrics = metrics
        self._stop = stop
        self._tell = tell
        self._who = f"forward {settings.forward_name}"
        self._log = StreamPosition(database, f"{self._who} {stream}", stream)
        self._copies = CopyMaker(stream, to, settings.extractors_to_forward, settings.max_body_bytes)
        url = settings.require_amqp_url()
        self._connection = Connection(url, f"jobtrail {self._who} from {stream}", first_node=attempt)
        self._reader = StreamReader(self._connection, stream, settings.prefetch)
        self._target = Target(url, to, f"jobtrail {self._who} of {stream}", stop, tell)

    async def run(self) -> None:
        """Copy until told to stop; what is being copied then is finished.

        Raises:
            NotFoundError: There is no such stream, or no such target.
            BrokerError: A connection was lost, or a copy was not confirmed.
            OwnershipLostError: Another process has moved the position meanwhile.
            StoreError: The database can't be reached.
        """
        waker = asyncio.create_task(self._wake())
        try:
            position = await self._open()
            if position is not None:
                self._tell("forwarding")
                await self._copy_all(position)
        finally:
            await end(waker)
            await self._close()

    async def _open(self) -> Position | None:
        """Connect, and attach behind what is copied; None when it was time to leave."""
        await self._connection.open()
        await self._log.take_over()
        position = await self._with_stream(await self._log.position())
        await self._target.open()
        resumption = Resumption(
            self._connection, self._reader, position, lambda _received: self._is_same_before(position), self._who
        )
        resumed = await resumption.resume(self._stop)
        if resumed is None:
            return None
        if resumed.incident is not None:
            await self._begin_epoch(position, resumed)
        offset = resumed.position.offset
        self._metrics.offset.labels(self._stream).set(offset)
        log.info("forwarding", action="forwarder.forwarding", stream=self._stream, to=self._to, offset=offset + 1)
        return resumed.position

    async def _with_stream(self, position: Position) -> Position:
        """Look for the stream, which the consumer makes; one that is gone begins a new epoch before it is made anew."""
        channel = await self._connection.channel()
        try:
            await channel.declare_queue(self._stream, passive=True)
        except NotFoundError:
            if self._stream in self._settings.reply_streams and not position.is_new:
                await self._begin_epoch(position, new_epoch(position, self._who, IncidentKind.RECREATED, 0))
            raise
        finally:
            await channel.close()
        return position if position.received_at is not None else await self._begun(position)

    async def _begun(self, position: Position) -> Position:
        """Begin with the first update that the stream still has: what was removed before, a new forwarder never missed.

        The time tells the next session that this was done.
        """
        oldest = await peek(self._connection, self._stream, FIRST, _LOOK_WAIT_S)
        first = 0 if oldest is None else oldest.offset
        begun = replace(position, first_offset=first, offset=first - 1, received_at=datetime.now(UTC))
        await self._log.move(position, begun)
        return begun

    async def _begin_epoch(self, position: Position, resumed: Resumed) -> None:
        await begin_epoch(self._log, position, resumed, self._settings.slack_channel)
        if resumed.incident is not None:
            self._metrics.incidents.labels(self._stream, resumed.incident.kind).inc()

    async def _is_same_before(self, position: Position) -> bool:
        """Tell whether the stream is still the same at offsets whose fingerprints are not remembered any more.

        It is if the oldest message that is remembered is still at its place. Where that can't be known, all of the
        stream is copied again: a repetition does less harm than a gap.
        """
        oldest = position.offset - len(position.fingerprints) + 1
        received = await peek(self._connection, self._stream, oldest, _LOOK_WAIT_S)
        return received is not None and position.remembered(received.offset) == received.fingerprint

    async def _copy_all(self, position: Position) -> None:
        idle = 0
        while not self._stop.is_set():
            taken = await self._reader.take(
                max_count=self._settings.batch_max_count, max_bytes=MAX_BATCH_BYTES, wait_s=IDLE_S
            )
            if taken:
                idle = 0
                position = await self._copy(taken, position)
            else:
                idle += 1
                if idle % _WATCH_EVERY == 0:
                    await look_at_end(self._connection, position, self._reader)

    async def _copy(self, taken: Sequence[Received], position: Position) -> Position:
        await look_at_gaps(self._connection, position, taken)
        copies = [self._copies.copy(received, position.epoch) for received in taken]
        messages = [copy for copy in copies if copy is not None]
        if not await self._target.send(messages):
            return position
        marks = {received.offset: received.fingerprint for received in taken[-REMEMBERED:]}
        last = position.advanced(taken[-1].offset, marks, datetime.now(UTC), position.bridges)
        await self._log.move(position, last)
        self._reader.done(taken)
        self._metrics.copied.labels(self._stream).inc(len(messages))
        self._metrics.skipped.labels(self._stream).inc(len(taken) - len(messages))
        self._metrics.offset.labels(self._stream).set(last.offset)
        return last

    async def _wake(self) -> None:
        await self._stop.wait()
        self._reader.wake()

    async def _close(self) -> None:
        await self._target.close()
        await self._connection.close()
        try:
            await self._log.close()
        except StoreError as error:
            log.debug("closing failed", action="forwarder.close_failed", error=str(error))

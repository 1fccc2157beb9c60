"""One stream, read from a stored position on, batch by batch: what the consumer and the forwarder have in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar

import structlog

from jobtrail.broker.connection import Connection
from jobtrail.consumer.metrics import StreamMetrics
from jobtrail.consumer.reader import Received, StreamReader
from jobtrail.consumer.resume import Resumed, Resumption, begin_epoch, look_at_end, look_at_gaps
from jobtrail.models.errors import StoreError
from jobtrail.models.position import REMEMBERED, Position
from jobtrail.models.settings import Settings
from jobtrail.store.log.log import StreamPosition

log = structlog.get_logger()

_MAX_BATCH_BYTES = 4 * 1024 * 1024
_IDLE_S = 1.0
_LOOK_EVERY = 10
"""Idle seconds after which it looks whether the stream really ends where it stands."""


class StreamWorker(ABC):
    """Reads one stream over one connection, and does something with each batch. The caller holds the stream's lease.

    `attempt` is how often this failed in a row: each time another node of the cluster is the first one that is tried.
    """

    _SERVICE: ClassVar[str]
    _STATE: ClassVar[str]
    """What it does while it reads, in one word."""

    def __init__(
        self,
        settings: Settings,
        keeper: StreamPosition,
        metrics: StreamMetrics,
        *,
        stream: str,
        reader_name: str,
        connection_name: str,
        stop: asyncio.Event,
        attempt: int,
    ) -> None:
        self._settings = settings
        self._keeper = keeper
        self._stream_metrics = metrics
        self._stream = stream
        self._reader_name = reader_name
        self._stop = stop
        self._connection = Connection(settings.require_amqp_url(), connection_name, first_node=attempt)
        self._reader = StreamReader(self._connection, stream, settings.prefetch)

    async def run(self, tell: Callable[[str], None]) -> None:
        """Read until told to stop; a batch that is under way then is finished. `tell` is called once it reads."""
        waker = asyncio.create_task(self._wake())
        try:
            position = await self._attach()
            if position is not None:
                tell(self._STATE)
                await self._read_on(position)
        except Exception as error:
            self._stream_metrics.reconnects.labels(self._stream, type(error).__name__).inc()
            raise
        finally:
            waker.cancel()
            await self._close()

    @abstractmethod
    async def _prepare(self, position: Position) -> Position:
        """See to it that there is something to read, and where to put it; return where reading begins."""

    @abstractmethod
    async def _is_same(self, position: Position, received: Received) -> bool:
        """Tell whether a message is the one that was at its offset, where the position's fingerprints don't reach."""

    @abstractmethod
    async def _process(self, taken: Sequence[Received], position: Position) -> Position | None:
        """Be done with a batch, and store the position behind it; None where it was time to leave before."""

    @abstractmethod
    async def _note_progress(self, position: Position) -> None:
        """Let others know how far it has come: after each batch, and each second without one."""

    async def _attach(self) -> Position | None:
        """Connect, and attach behind what is done; None when it was time to leave."""
        await self._connection.open()
        await self._keeper.take_over()
        position = await self._prepare(await self._keeper.position())
        resumption = Resumption(
            self._connection, self._reader, position, partial(self._is_same, position), self._reader_name
        )
        resumed = await resumption.resume(self._stop)
        if resumed is None:
            return None
        await self._begin_epoch(position, resumed)
        return resumed.position

    async def _begin_epoch(self, position: Position, resumed: Resumed) -> None:
        """Store where a new epoch begins, if one does."""
        if resumed.incident is not None:
            await begin_epoch(self._keeper, position, resumed.position, resumed.incident, self._settings.slack_channel)
            self._stream_metrics.incidents.labels(self._stream, resumed.incident.kind).inc()

    async def _read_on(self, position: Position) -> None:
        log.info(self._STATE, action=f"{self._SERVICE}.{self._STATE}", stream=self._stream, offset=position.offset + 1)
        self._stream_metrics.offset.labels(self._stream).set(position.offset)
        idle = 0
        while not self._stop.is_set():
            taken = await self._reader.take(
                max_count=self._settings.batch_max_count, max_bytes=_MAX_BATCH_BYTES, wait_s=_IDLE_S
            )
            idle = 0 if taken else idle + 1
            if taken:
                await look_at_gaps(self._connection, position, taken)
                behind = await self._process(taken, position)
                if behind is None:
                    return  # what is not done is read again, by whoever comes next
                position = behind
                self._reader.done(taken)
                self._stream_metrics.offset.labels(self._stream).set(position.offset)
            await self._note_progress(position)
            if idle and idle % _LOOK_EVERY == 0 and not self._stop.is_set():
                await look_at_end(self._connection, position, self._reader)

    async def _wake(self) -> None:
        await self._stop.wait()
        self._reader.wake()

    async def _close(self) -> None:
        await self._connection.close()
        try:
            await self._keeper.close()
        except StoreError as error:
            log.debug("closing failed", action=f"{self._SERVICE}.close_failed", error=str(error))


def behind(
    position: Position, taken: Sequence[Received], received_at: datetime, bridges: Mapping[str, int]
) -> Position:
    """Make the position behind a batch."""
    marks = {received.offset: received.fingerprint for received in taken[-REMEMBERED:]}
    return position.advanced(taken[-1].offset, marks, received_at, bridges)

"""Copies one stream of updates to a queue that others read, such as the listener of a live Clowder.

A batch is copied, and confirmed; then the position behind it is stored. So nothing is missing at the target. What was
copied just before a crash is copied again, and can be recognised: both copies have the same message id.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from jobtrail.broker.declaring import find_queue
from jobtrail.consumer.forwarding.copies import CopyMaker
from jobtrail.consumer.forwarding.metrics import ForwarderMetrics
from jobtrail.consumer.forwarding.target import Target
from jobtrail.consumer.reader import FIRST, Received, peek
from jobtrail.consumer.resume import new_epoch
from jobtrail.consumer.stream_worker import StreamWorker, behind
from jobtrail.models.errors import NotFoundError
from jobtrail.models.incident import IncidentKind
from jobtrail.models.position import Position
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.log import StreamPosition

_LOOK_WAIT_S = 5.0


class Forwarder(StreamWorker):
    """Copies one stream over two connections: the broker may block the one that publishes.

    The target queue `to` is never declared, only looked for. The position is kept under the forwarder's name.
    """

    _SERVICE = "forwarder"
    _STATE = "forwarding"

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
        name = f"forward {settings.forward_name}"
        super().__init__(
            settings,
            StreamPosition(database, f"{name} {stream}", stream),
            metrics,
            stream=stream,
            reader_name=name,
            connection_name=f"jobtrail {name} from {stream}",
            stop=stop,
            attempt=attempt,
        )
        self._metrics = metrics
        self._copies = CopyMaker(stream, to, settings.extractors_to_forward, settings.max_body_bytes)
        self._target = Target(settings.require_amqp_url(), to, f"jobtrail {name} of {stream}", stop, tell)

    async def _prepare(self, position: Position) -> Position:
        """Look for the stream, which the consumer makes; one that is gone begins a new epoch before it is recreated."""
        try:
            await find_queue(self._connection, self._stream)
        except NotFoundError:
            if self._stream in self._settings.reply_streams and not position.is_new:
                await self._begin_epoch(position, new_epoch(position, self._reader_name, IncidentKind.RECREATED, 0))
            raise
        if position.received_at is None:
            position = await self._begun(position)
        await self._target.open()
        return position

    async def _begun(self, position: Position) -> Position:
        """Begin with the first update that the stream still has: what was removed before, a new forwarder never missed.

        The time in the position shows the next session that this was done.
        """
        oldest = await peek(self._connection, self._stream, FIRST, _LOOK_WAIT_S)
        first = 0 if oldest is None else oldest.offset
        begun = replace(position, first_offset=first, offset=first - 1, received_at=datetime.now(UTC))
        await self._keeper.move(position, begun)
        return begun

    async def _is_same(self, position: Position, _received: Received) -> bool:
        """Tell it by the oldest message that is remembered: if that is still at its place, so is what was before it.

        Where that can't be known, all of the stream is copied again: a repetition does less harm than a gap.
        """
        oldest = position.offset - len(position.fingerprints) + 1
        there = await peek(self._connection, self._stream, oldest, _LOOK_WAIT_S)
        return there is not None and position.remembered(there.offset) == there.fingerprint

    async def _process(self, taken: Sequence[Received], position: Position) -> Position | None:
        copies = [self._copies.copy(received, position.epoch) for received in taken]
        messages = [copy for copy in copies if copy is not None]
        if not await self._target.send(messages):
            return None
        last = behind(position, taken, datetime.now(UTC), position.bridges)
        await self._keeper.move(position, last)
        self._metrics.copied.labels(self._stream).inc(len(messages))
        self._metrics.skipped.labels(self._stream).inc(len(taken) - len(messages))
        return last

    async def _note_progress(self, position: Position) -> None:
        """Nothing waits for a forwarder."""

    async def _close(self) -> None:
        await self._target.close()
        await super()._close()

"""Where to go on reading a stream: at the message behind the last stored one, if the stream still is what it was.

A reader attaches at the last stored offset *including it*. Is it the same message, the stream is the same one. If not,
the stream was deleted and recreated, or lost its end in a power failure (streams are not fsynced), or retention removed
what had not been read. Then a new epoch begins at the first message that is not stored, and an incident says what is
missing. Nothing is skipped silently, and nothing is stored twice.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

import structlog

from jobtrail.broker.address import broker_urls
from jobtrail.broker.connection import Connection
from jobtrail.consumer.reader import FIRST, Received, StreamReader, last_offset, peek
from jobtrail.models.errors import BrokerError
from jobtrail.models.incident import Incident, IncidentKind, incident_alert, incident_detail
from jobtrail.models.notifications.slack_entries import slack_entries
from jobtrail.models.position import Position
from jobtrail.store.log.log import StreamPosition

log = structlog.get_logger()

_FIRST_WAIT_S = 2.0
"""Seconds within which the last stored message should come; then it is looked up where the stream ends."""
_NEW_WAIT_S = 0.2
_LOOK_WAIT_S = 5.0
_OWN_OFFSETS = 1
"""Offsets that the broker takes for itself at the begin of a segment."""
_SHORTER_LOOKS, _SHORTER_LOOKS_IN_CLUSTER = 3, 30
"""Looks that find the stream shorter than what is stored before that is believed: a node's copy may be behind, for a
minute and more where it has just come back."""

IsStored = Callable[[Received], Awaitable[bool]]
"""Tells whether a message is the one that was stored at its offset."""


@dataclass(slots=True, frozen=True)
class Resumed:
    """Where reading goes on; the reader is attached there."""

    position: Position
    incident: Incident | None = None
    """What happened to the stream; the position is that of a new epoch then, and still to be stored."""


class Resumption:
    """Attaches a reader behind the position that was stored last.

    `is_stored` compares a message with what is stored, where the position's fingerprints don't reach; `who` is the
    reader's name in incidents.
    """

    def __init__(
        self, connection: Connection, reader: StreamReader, position: Position, is_stored: IsStored, who: str
    ) -> None:
        self._connection = connection
        self._reader = reader
        self._position = position
        self._is_stored = is_stored
        self._who = who
        self._is_one_node = len(broker_urls(connection.url)) == 1

    async def resume(self, stop: asyncio.Event) -> Resumed | None:
        """Attach and compare; return where reading goes on, or None when it was time to leave.

        A stream that is empty, and was not, says nothing yet: its first message is waited for.
        """
        position, looks = self._position, 0
        await self._reader.attach(position.first_offset if position.is_new else position.offset)
        while not stop.is_set():
            wait_s = _NEW_WAIT_S if position.is_new else _FIRST_WAIT_S
            taken = await self._reader.take(max_count=1, max_bytes=1, wait_s=wait_s)
            if taken:
                return await self._compare(taken[0])
            if position.is_new:
                return Resumed(position)  # whoever reads on sees whether the first message is the expected one
            last = await last_offset(self._connection, position.stream, _LOOK_WAIT_S, position.offset)
            if last is None:
                continue
            if last >= position.offset:
                raise BrokerError(f"RabbitMQ did not deliver offset {position.offset} of {position.stream}")
            looks += 1
            if looks >= (_SHORTER_LOOKS if self._is_one_node else _SHORTER_LOOKS_IN_CLUSTER):
                return await self._diverged()
        return None

    async def _compare(self, first: Received) -> Resumed:
        position = self._position
        if first.offset > position.offset:
            self._reader.put_back(first)
            if await has_lost(self._connection, position, first.offset):
                return self._overtaken(first)
            return Resumed(position)
        if first.offset == position.offset and not position.is_new and await self._is_same(first):
            self._reader.done([first])
            return Resumed(position)
        if position.first_offset <= first.offset < position.offset and await self._is_same(first):
            raise BrokerError(
                f"this node's copy of {position.stream} is behind: it ends before offset {position.offset}"
            )
        return await self._diverged()

    async def _is_same(self, received: Received) -> bool:
        remembered = self._position.remembered(received.offset)
        if remembered is None:
            return await self._is_stored(received)
        return remembered == received.fingerprint

    def _overtaken(self, first: Received) -> Resumed:
        """Retention has removed what was to be read next."""
        missing = self._position.offset + 1, first.offset - 1 - _OWN_OFFSETS
        return new_epoch(self._position, self._who, IncidentKind.OVERTAKEN, first.offset, missing)

    async def _diverged(self) -> Resumed:
        """The stream is not what was stored: go on behind the last message that both have."""
        position = self._position
        oldest = await peek(self._connection, position.stream, FIRST, _LOOK_WAIT_S)
        if oldest is None:
            raise BrokerError(f"{position.stream} is empty again; was it deleted?")
        last = await last_offset(self._connection, position.stream, _LOOK_WAIT_S, position.offset)
        if last is None:
            raise BrokerError(f"RabbitMQ delivers nothing of {position.stream}")
        low, high = max(oldest.offset, position.oldest_known), min(last, position.offset)
        common = await self._last_common(low, high)
        begin = oldest.offset if common is None else common + 1
        await self._reader.attach(begin)
        return new_epoch(position, self._who, IncidentKind.RECREATED if common is None else IncidentKind.CUT, begin)

    async def _last_common(self, low: int, high: int) -> int | None:
        """Find the last offset at which the stream has what was stored: up to it all is the same, behind it nothing."""
        common = None
        while low <= high:
            middle = low if common is None else (low + high + 1) // 2
            received = await peek(self._connection, self._position.stream, middle, _LOOK_WAIT_S)
            if received is None:
                raise BrokerError(f"RabbitMQ did not deliver offset {middle} of {self._position.stream}")
            if received.offset <= high and await self._is_same(received):
                common, low = received.offset, received.offset + 1
            elif common is None:
                return None
            else:
                high = middle - 1
        return common


async def has_lost(connection: Connection, position: Position, offset: int) -> bool:
    """Tell whether retention has removed messages between a position and an offset at which its stream goes on.

    Retention removes whole segments, and each but the first of all begins with an offset that the broker takes for
    itself. So a gap means no loss where the stream still has what is before it.
    """
    if offset == position.offset + 1 or (offset == position.offset + 1 + _OWN_OFFSETS and position.offset >= 0):
        return False
    oldest = await peek(connection, position.stream, FIRST, _LOOK_WAIT_S)
    if oldest is None:
        raise BrokerError(f"RabbitMQ delivers nothing of {position.stream}")
    return oldest.offset > position.offset + 1


async def look_at_gaps(connection: Connection, position: Position, taken: Sequence[Received]) -> None:
    """Make sure that messages follow a position without a loss; gaps between them may be offsets of the broker's own.

    If some are missing, it is a `BrokerError`: the next session finds out which.
    """
    if taken[-1].offset - position.offset == len(taken):
        return
    at = position
    for received in taken:
        if received.offset != at.offset + 1:
            there = await peek(connection, at.stream, at.offset + 1, _LOOK_WAIT_S)
            if there is None or there.offset != received.offset or await has_lost(connection, at, received.offset):
                raise BrokerError(f"{at.stream} continues at offset {received.offset} after {at.offset}")
        at = replace(at, offset=received.offset)


async def look_at_end(connection: Connection, position: Position, reader: StreamReader) -> None:
    """Make sure that a stream of which nothing comes ends where it was read to.

    RabbitMQ 4.0 was seen to hand out nothing more after a SIGKILL, although there was more. Then it is a `BrokerError`:
    the next session gets the rest.
    """
    last = await last_offset(connection, position.stream, _LOOK_WAIT_S, position.offset + 1)
    if last is not None and last > position.offset and reader.is_empty:
        raise BrokerError(f"RabbitMQ delivers nothing more of {position.stream}, which goes on to {last}")


def new_epoch(
    position: Position, who: str, kind: IncidentKind, begin: int, missing: tuple[int, int] | None = None
) -> Resumed:
    """Begin a new epoch at the offset `begin`.

    `missing` is the first and the last offset that were never read, where that is known.
    """
    epoch = position.new_epoch(begin)
    first, last = missing or (None, None)
    count = None if missing is None else missing[1] - missing[0] + 1
    incident = Incident(
        kind=kind,
        stream=position.stream,
        reader=who,
        missing=count,
        from_offset=first,
        to_offset=last,
        epoch=epoch.epoch,
        seq=position.seq,
        detail=incident_detail(kind, position.stream, who, missing=count, from_offset=first, to_offset=last),
    )
    return Resumed(epoch, incident)


async def begin_epoch(
    keeper: StreamPosition, position: Position, epoch: Position, incident: Incident, slack_channel: str | None
) -> None:
    """Store where a new epoch begins, with its incident and the alert of it."""
    await keeper.move(position, epoch, incident, slack_entries([incident_alert(incident)], slack_channel))
    log.error(
        incident.detail, action="stream.incident", stream=incident.stream, kind=incident.kind, reader=incident.reader
    )

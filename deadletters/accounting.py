"""Message accounting: every message that was taken is found exactly once, hour by hour.

A stream's messages are an event, a duplicate or a dead letter each, with a number of its own. Of a queue that is
captured, and of the reply queues of the time before streams, only counts are compared.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.models.dead_letters.accounting import (
    Balance,
    HourlyCount,
    QueueFindings,
    joined,
    queue_balance,
    stream_balance,
)
from jobtrail.models.notifications.alert import Alert, AlertKind
from jobtrail.models.position import Position
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.findings import find_in_queue, find_in_stream
from jobtrail.store.log.hourly_counts import TallyRepository
from jobtrail.store.log.positions import read_positions

_LOOKS = 4
_LOOK_AGAIN_S = 1.0
"""A dead letter that is neither queued nor stored may be on its way, so a second look follows after so long."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Audit:
    """What an audit found."""

    since: datetime
    at: datetime
    balances: Sequence[Balance]
    """By queue or stream, then by hour."""
    positions: Sequence[Position]
    """How far each stream has been stored."""
    waiting: Sequence[QueueDepth]
    """What waits in each queue that is captured or bridged."""

    @property
    def missing(self) -> int:
        """Messages of which nothing is found."""
        return sum(balance.missing for balance in self.balances)

    @property
    def doubled(self) -> int:
        """Messages that are found more than once."""
        return sum(balance.doubled for balance in self.balances)

    @property
    def wrong(self) -> int:
        """Messages that are not found exactly once."""
        return self.missing + self.doubled


async def audit(settings: Settings, database: Database, since: datetime) -> Audit:
    """Compare what was taken from the streams and queues, from the hour of `since` on, with what is found of it."""
    positions = await read_positions(database)
    streams = {*settings.reply_streams, *(position.stream for position in positions)}
    of_streams = await _audit_streams(database, streams, since)
    of_queues, waiting = await _audit_queues(settings, database, streams, since)
    balances = sorted([*of_streams, *of_queues], key=lambda balance: (balance.tally.queue, balance.tally.hour))
    return Audit(since=since, at=datetime.now(UTC), balances=balances, positions=positions, waiting=waiting)


async def _audit_streams(database: Database, streams: Collection[str], since: datetime) -> Sequence[Balance]:
    tallies = TallyRepository(database)
    last_before = await tallies.last_before(since)
    balances = []
    for stream, hours in groupby(await tallies.since(since), key=lambda tally: tally.queue):
        if stream not in streams:
            continue
        before = last_before.get(stream)
        for tally in joined([*([before] if before else []), *hours]):
            if tally == before:
                continue
            balances.append(stream_balance(tally, await find_in_stream(database, tally), before))
            before = tally
    return balances


async def _audit_queues(
    settings: Settings, database: Database, streams: Collection[str], since: datetime
) -> tuple[Sequence[Balance], Sequence[QueueDepth]]:
    for look in range(_LOOKS):
        if look:
            await asyncio.sleep(_LOOK_AGAIN_S)
        waiting = await _depths(settings)
        tallies = [tally for tally in await TallyRepository(database).since(since) if tally.queue not in streams]
        found = [(tally, await find_in_queue(database, tally)) for tally in tallies]
        inbox = next((depth.waiting or 0 for depth in waiting if depth.queue == settings.dead_letter_queue), 0)
        balances = _balanced(found, inbox)
        if not any(balance.wrong for balance in balances):
            break
    return balances, waiting


async def _depths(settings: Settings) -> Sequence[QueueDepth]:
    gauge = QueueGauge(settings.amqp_url)
    captured, bridged = settings.captured_queues, settings.queues_to_bridge
    depths = await asyncio.gather(*(gauge.read(queue) for queue in [*captured, *bridged]))
    # Most brokers do not have the reply queue of earlier versions.
    return [depth for depth in depths if depth.queue in captured or not depth.missing]


def _balanced(found: Sequence[tuple[HourlyCount, QueueFindings]], letters_waiting: int) -> Sequence[Balance]:
    """Take letters that are not captured for those that wait in the dead-letter queue, the latest first."""
    balances = []
    for tally, findings in sorted(found, key=lambda each: each[0].hour, reverse=True):
        waiting = min(max(0, tally.dead_lettered - findings.letters), letters_waiting)
        letters_waiting -= waiting
        balances.append(queue_balance(tally, findings, waiting))
    return balances


def alert_of(balance: Balance) -> Alert:
    """Make the alert of a balance that is wrong; equal differences have equal texts, so that one is sent once."""
    hour = f"{balance.tally.hour:%Y-%m-%d %H:00} UTC"
    return Alert(
        kind=AlertKind.MESSAGES_MISSING,
        cause=f"{balance.tally.queue}, the hour from {hour}: {balance.difference}",
        at=datetime.now(UTC),
        run_id="audit",
    )

"""The conservation audit: what the broker handed out is stored, a duplicate, or a dead letter, hour by hour."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from consumer.queue_depth import QueueDepth, QueueGauge
from models.alert import Alert, AlertKind
from models.conservation import Balance, Findings, Tally
from models.settings import Settings
from store.database import Database
from store.findings import find
from store.tallies import TallyRepository

_LOOKS = 4
_LOOK_AGAIN_S = 1.0
"""A dead letter that is neither in its queue nor stored may be on its way: it is looked for again after so long."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Audit:
    """What an audit found."""

    since: datetime
    at: datetime
    balances: Sequence[Balance]
    """By queue, then by hour."""
    waiting: Sequence[QueueDepth]
    """What waits in each queue."""

    @property
    def missing(self) -> int:
        """Messages of which nothing is found."""
        return sum(balance.missing for balance in self.balances)


async def audit(settings: Settings, database: Database, since: datetime) -> Audit:
    """Compare what was taken from the queues with what is found of it.

    Args:
        settings: The settings.
        database: The trail's database.
        since: The hour in which this lies is the first one.

    Returns:
        What was found.

    Raises:
        StoreError: The database can't be reached.
    """
    for look in range(_LOOKS):
        if look:
            await asyncio.sleep(_LOOK_AGAIN_S)
        result = await _look(settings, database, since)
        if not result.missing:
            break
    return result


async def _look(settings: Settings, database: Database, since: datetime) -> Audit:
    gauge = QueueGauge(settings.amqp_url)
    queues = dict.fromkeys([settings.reply_queue, *settings.captured_queues])
    waiting = await asyncio.gather(*(gauge.read(queue) for queue in queues))
    tallies = await TallyRepository(database).since(since)
    found = [(tally, await find(database, tally)) for tally in tallies]
    letters_waiting = next((depth.waiting or 0 for depth in waiting if depth.queue == settings.dead_letter_queue), 0)
    return Audit(since=since, at=datetime.now(UTC), balances=_balanced(found, letters_waiting), waiting=waiting)


def _balanced(found: Sequence[tuple[Tally, Findings]], letters_waiting: int) -> Sequence[Balance]:
    """Take letters that are not captured for those that wait in the dead-letter queue, the latest first."""
    balances = []
    for tally, findings in sorted(found, key=lambda each: each[0].hour, reverse=True):
        uncaptured = max(0, tally.dead_lettered - findings.letters)
        waiting = min(uncaptured, letters_waiting)
        letters_waiting -= waiting
        balances.append(Balance(tally=tally, found=findings, waiting=waiting))
    return sorted(balances, key=lambda balance: (balance.tally.queue, balance.tally.hour))


def alert_of(balance: Balance) -> Alert:
    """Make the alert of a balance that is wrong; the same words for the same difference.

    Args:
        balance: The balance.

    Returns:
        The alert.
    """
    hour = f"{balance.tally.hour:%Y-%m-%d %H:00} UTC"
    return Alert(
        kind=AlertKind.MESSAGES_MISSING,
        cause=f"{balance.tally.queue}, the hour from {hour}: {difference_words(balance)}",
        at=datetime.now(UTC),
        run_id="audit",
    )


def difference_words(balance: Balance) -> str:
    """Say what is wrong with a balance.

    Args:
        balance: The balance.

    Returns:
        The words; empty where nothing is.
    """
    tally, found = balance.tally, balance.found
    parts = []
    if balance.missing_numbers:
        parts.append(f"{tally.last_seq - tally.first_seq + 1:,} numbers for {tally.handed_out:,} messages")
    if balance.missing_documents:
        parts.append(f"{tally.stored:,} stored, {found.stored:,} found")
    if balance.missing_letters:
        parts.append(f"{tally.dead_lettered:,} dead letters, {found.letters:,} captured, {balance.waiting:,} waiting")
    return "; ".join(parts)

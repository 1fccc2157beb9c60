"""What is stored is counted by the hour, also where an owner changes within it and where the hour ends."""

from datetime import UTC, datetime, timedelta

from jobtrail.models.delivery import Entry
from jobtrail.models.position import Position
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.log.hourly_counts import TallyRepository
from jobtrail.store.log.log import Log
from tests.store.log.test_projection import entry

HOUR = datetime(2026, 11, 30, 9, tzinfo=UTC)


async def store(log: Log, position: Position, minutes: int, count: int) -> Position:
    """Store some dead letters that came so many minutes after the hour."""
    at = HOUR + timedelta(minutes=minutes)
    entries: list[Entry] = []
    for number in range(count):
        one = entry(position.seq + number, None, None)
        one.received_at = at
        entries.append(one)
    last = position.advanced(position.offset + count, {}, at, {})
    await log.append(position, entries, last)
    return last


async def test_hours_are_counted_across_owners_and_ends(settings: Settings) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        first, second = Log(database, "s"), Log(database, "s")
        position = await store(first, await first.position(), 10, 3)
        position = await store(second, await second.position(), 50, 4)
        position = await store(second, position, 59, 1)
        await store(second, position, 70, 5)
        tallies = TallyRepository(database)

        counted = [(each.hour, each.numbers, each.handed_out, each.dead_lettered) for each in await tallies.since(HOUR)]
        assert counted == [(HOUR, range(1, 9), 8, 8), (HOUR + timedelta(hours=1), range(9, 14), 5, 5)]
        assert (await tallies.last_before(HOUR + timedelta(hours=1)))["s"].last_seq == 8
        assert (await tallies.last_before(HOUR + timedelta(hours=3)))["s"].last_seq == 13
        for log in (first, second):
            await log.close()

"""The conservation audit: each number of a stream is found once, or a red row and an alert say which is not."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from jobtrail.deadletters.accounting import Audit, alert_of, audit
from jobtrail.models.dead_letters.accounting import FIRST_NUMBERS, Balance
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterFilter, LetterKind
from jobtrail.models.dead_letters.refused import refused_letter
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.refused import write_refused
from tests.deadletters.books import DUPLICATE, EVENT, LETTER, NOW, Books
from tests.deadletters.conftest import LetterBench, replay_now, running, update_body
from tests.support import eventually_async, eventually_holds_async

MIXED = "eeedeeeleeededlleeee"
GARBAGE = 7
UPDATES = 20


@pytest.fixture
def books(settings: Settings, database: Database) -> Books:
    return Books(database, settings.reply_stream)


async def look(settings: Settings, database: Database, hours: int = 2) -> Audit:
    return await audit(settings, database, NOW + timedelta(minutes=30) - timedelta(hours=hours))


async def only_balance(settings: Settings, database: Database) -> Balance:
    (balance,) = (await look(settings, database)).balances
    return balance


def numbers_of(outcome: str, numbers: Sequence[int]) -> list[int]:
    return [number for number, each in zip(numbers, MIXED, strict=True) if each == outcome]


async def test_events_duplicates_and_dead_letters_make_up_for_all_numbers(
    settings: Settings, database: Database, books: Books
) -> None:
    for hours_ago in (1, 0):
        await books.write(MIXED, hours_ago=hours_ago)
    result = await look(settings, database)

    assert (result.wrong, [balance.difference for balance in result.balances]) == (0, ["", ""])
    assert [balance.tally.handed_out for balance in result.balances] == [len(MIXED)] * 2


@pytest.mark.parametrize("outcome", [EVENT, DUPLICATE, LETTER])
async def test_what_is_removed_is_named_whatever_it_was(
    settings: Settings, database: Database, books: Books, outcome: str
) -> None:
    number = numbers_of(outcome, await books.write(MIXED))[1]
    await books.remove(outcome, number)
    balance = await only_balance(settings, database)

    assert (balance.missing, balance.doubled, balance.missing_numbers) == (1, 0, [number])
    assert balance.difference == f"1 not found: {number}"


@pytest.mark.parametrize("outcome", [EVENT, DUPLICATE, LETTER])
async def test_what_is_there_twice_is_named_whatever_it_is_a_copy_of(
    settings: Settings, database: Database, books: Books, outcome: str
) -> None:
    numbers = await books.write(MIXED)
    event = numbers_of(EVENT, numbers)[3]
    await books.double(outcome, event)
    balance = await only_balance(settings, database)

    assert (balance.missing, balance.doubled, balance.doubled_numbers) == (0, 1, [event])
    assert balance.difference == f"1 found twice: {event}"


@pytest.mark.parametrize(("removed", "doubled"), [(2, 3), (3, 2), (5, 180), (180, 5), (199, 200)])
async def test_one_that_is_removed_and_one_that_is_doubled_never_make_up_for_each_other(
    settings: Settings, database: Database, books: Books, removed: int, doubled: int
) -> None:
    await books.write(EVENT * 200)
    await books.remove(EVENT, removed)
    await books.double(EVENT, doubled)
    balance = await only_balance(settings, database)

    assert (balance.missing_numbers, balance.doubled_numbers) == ([removed], [doubled])
    assert balance.difference == f"1 not found: {removed}; 1 found twice: {doubled}"


async def test_a_copy_is_found_however_often_it_is_there(settings: Settings, database: Database, books: Books) -> None:
    await books.write(EVENT * 60)
    await books.remove(EVENT, *range(11, 51))
    # As many documents and the same sum as before, and far more in one word than MongoDB's integers add up.
    await books.double(EVENT, *[60] * 20_000)
    balance = await only_balance(settings, database)

    assert (balance.missing, balance.doubled_numbers) == (40, [60])


async def test_of_many_numbers_all_are_counted_and_the_first_ones_named(
    settings: Settings, database: Database, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobtrail.store.log.findings._SLICE", 250)
    chosen = random.Random(11)
    numbers = await books.write("".join(chosen.choices([EVENT, DUPLICATE, LETTER], [6, 2, 1], k=1_037)))
    gone = sorted(chosen.sample(numbers, 90))
    twice = sorted(chosen.sample([number for number in numbers if number not in gone], 40))
    for collection in ("extractions", "duplicates", "dead_letters"):
        await database.collection(collection).delete_many({"seq": {"$in": gone}})
    await books.double(EVENT, *twice)
    balance = await only_balance(settings, database)

    assert (balance.missing, balance.doubled) == (90, 40)
    assert (balance.missing_numbers, balance.doubled_numbers) == (gone[:FIRST_NUMBERS], twice[:FIRST_NUMBERS])
    assert f"{', '.join(map(str, gone[:FIRST_NUMBERS]))} and 80 more" in balance.difference


@pytest.mark.parametrize("window_hours", [1, 5])
async def test_numbers_between_two_hours_that_are_in_none_are_missing(
    settings: Settings, database: Database, books: Books, window_hours: int
) -> None:
    await books.write(MIXED, hours_ago=4)
    books.skip(3)
    await books.write(MIXED)
    balance = (await look(settings, database, window_hours)).balances[-1]

    assert (balance.missing, balance.missing_numbers) == (3, [21, 22, 23])
    assert balance.difference == "3 numbers before it are in no hour: 21, 22, 23"


async def test_hours_of_two_owners_whose_clocks_disagree_are_one(
    settings: Settings, database: Database, books: Books
) -> None:
    for hours_ago in (2, 1, 2, 1):
        await books.write(MIXED, hours_ago=hours_ago)
    for hours in (1, 2):  # also where the window begins between them
        (balance,) = (await look(settings, database, hours)).balances
        assert (balance.wrong, balance.tally.handed_out) == (0, 4 * len(MIXED))
        assert balance.tally.hour == NOW - timedelta(hours=2)


async def test_numbers_of_an_hour_that_were_never_counted_are_missing(
    settings: Settings, database: Database, books: Books
) -> None:
    await books.write(MIXED)
    await database.collection("tallies").update_one({}, {"$inc": {"stored": -2}})
    balance = await only_balance(settings, database)

    assert (balance.missing, balance.difference) == (2, "20 numbers, 20 handed out, 18 counted")


async def test_other_partitions_and_imported_letters_are_no_copies(
    settings: Settings, database: Database, books: Books
) -> None:
    settings = settings.model_copy(update={"reply_partitions": 2})
    streams = settings.reply_streams
    for stream in (*streams, settings.reply_stream):
        await Books(database, stream).write(MIXED)
    # The former layout's stream is a stream still: it has a position.
    position = {"_id": f"stream {settings.reply_stream}", "stream": settings.reply_stream, "epoch": 3}
    await database.collection("positions").insert_one(position | {"first_offset": 0, "first_seq": 1, "offset": 19})
    imported = {"origin": streams[0], "origin_seq": 1, "queue": streams[0], "seq": 0}
    await database.collection("dead_letters").insert_one(imported)
    result = await look(settings, database)

    assert (result.wrong, {balance.tally.queue for balance in result.balances}) == (
        0,
        {*streams, settings.reply_stream},
    )
    assert [(each.stream, each.epoch, each.offset) for each in result.positions] == [(settings.reply_stream, 3, 19)]


def refused(stream: str, seq: int) -> DeadLetter:
    return refused_letter(
        queue=stream,
        reason="not_json",
        error="no JSON",
        body=b"{",
        properties=b"\0\0",
        exchange="",
        routing_key=stream,
        received_at=datetime.now(UTC),
        kind=LetterKind.UPDATE,
        seq=seq,
        key=None,
        message_id=None,
        correlation_id=None,
        max_body_bytes=1000,
    )


async def test_expired_letters_leave_an_entry_in_the_archive_and_the_balance_stays(
    settings: Settings, database: Database, books: Books
) -> None:
    await books.write(LETTER * GARBAGE)
    await books.remove(LETTER, *range(1, GARBAGE + 1))
    letters = [refused(settings.reply_stream, seq) for seq in range(1, GARBAGE + 1)]
    await database.transact(lambda session: write_refused(database, letters, session))
    assert (await only_balance(settings, database)).wrong == 0
    repository = LetterRepository(database)
    assert await repository.discard(LetterFilter(), "no use") == GARBAGE
    assert await repository.expire(datetime.now(UTC) + timedelta(days=1)) == GARBAGE

    archive = await database.collection("dead_letter_archive").find().to_list()
    assert [entry["note"] for entry in archive] == ["no use"] * GARBAGE
    assert all("body" not in entry and "removed_at" in entry for entry in archive)
    assert await database.collection("dead_letters").count_documents({}) == 0
    assert (await only_balance(settings, database)).wrong == 0


async def write_former(database: Database, queue: str, **found: int) -> None:
    """An hour that the version before streams counted: 10 stored, 3 duplicates without a record, 2 dead letters."""
    await database.collection("tallies").insert_one(
        {"queue": queue, "hour": NOW, "first_seq": 1, "last_seq": 15, "handed_out": 15}
        | {"stored": 10, "duplicates": 3, "dead_lettered": 2}
    )
    events = [{"queue": queue, "seq": seq} for seq in range(1, found["events"] + 1)]
    letters = [
        {"origin": queue, "origin_seq": seq, "queue": "dead", "seq": seq} for seq in range(11, 11 + found["letters"])
    ]
    await database.collection("extractions").insert_many(events)
    await database.collection("dead_letters").insert_many(letters)


@pytest.mark.parametrize(
    ("events", "letters", "difference"),
    [
        (10, 2, ""),
        (10, 3, ""),
        (9, 2, "10 stored, 9 found"),
        (11, 2, "10 stored, 11 found"),
        (10, 1, "2 dead letters, 1 captured, 0 waiting"),
    ],
)
async def test_hours_of_a_reply_queue_before_the_upgrade_are_compared_by_their_counts(
    settings: Settings, database: Database, events: int, letters: int, difference: str
) -> None:
    await write_former(database, "jobtrail.replies", events=events, letters=letters)
    balance = await only_balance(settings, database)

    assert (balance.difference, balance.wrong) == (difference, 1 if difference else 0)
    assert (balance.missing_numbers, balance.doubled_numbers) == ((), ())


async def test_letters_of_before_the_upgrade_that_still_wait_in_their_queue_are_no_difference(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    await write_former(database, "jobtrail.replies", events=10, letters=1)
    await asyncio.to_thread(bench.channel.basic_publish, "", settings.dead_letter_queue, b"{")

    async def waits() -> None:
        balance = await only_balance(settings, database)
        assert (balance.wrong, balance.waiting) == (0, 1)

    await eventually_holds_async(waits)
    await asyncio.to_thread(bench.channel.queue_purge, settings.dead_letter_queue)
    assert (await only_balance(settings, database)).missing == 1


async def publish(bench: LetterBench) -> None:
    updates = [update_body(f"job-{n}") for n in range(UPDATES)]
    await asyncio.to_thread(bench.publish, *updates, *[b"{"] * GARBAGE)
    await asyncio.to_thread(bench.publish, updates[0], updates[0], message_id="twice")


async def wait_until_stored(bench: LetterBench) -> None:
    async def stored() -> bool:
        position = bench.database["positions"].find_one({"_id": f"stream {bench.settings.reply_stream}"}) or {}
        return "tally" in position and position["tally"]["handed_out"] == UPDATES + GARBAGE + 2

    await eventually_async(stored)


async def test_a_run_balances_with_duplicates_dead_letters_and_replays(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    async with running(settings):
        await publish(bench)
        await wait_until_stored(bench)
        await replay_now(database, settings, LetterFilter(), staged=False)
        await asyncio.to_thread(bench.wait_for_states, open=GARBAGE, failed_again=GARBAGE)
    result = await look(settings, database)

    assert result.wrong == 0
    tallies = [balance.tally for balance in result.balances]
    assert {tally.queue for tally in tallies} == {settings.reply_stream}
    assert sum(tally.stored for tally in tallies) == UPDATES + 1
    assert sum(tally.duplicates for tally in tallies) == 1
    assert sum(tally.dead_lettered for tally in tallies) == 2 * GARBAGE


async def test_what_is_wrong_is_one_alert_however_often_it_is_looked_for(
    settings: Settings, bench: LetterBench, database: Database, books: Books
) -> None:
    settings = settings.model_copy(update={"slack_channel": "#ops"})
    await books.write(EVENT * 3, hours_ago=1)
    await books.write(EVENT * 3)
    await books.remove(EVENT, 2)
    await books.double(EVENT, 5)
    told = {alert_of(balance).cause.rpartition(": ")[2] for balance in (await look(settings, database)).balances}
    assert told == {"2", "5"}
    for _audit in range(2):
        bench.database["leases"].delete_one({"_id": "conservation audit"})
        async with running(settings, consumer=False):
            await eventually_async(lambda: alerts(bench, 2))
            await eventually_async(lambda: audits(bench))
    assert await alerts(bench, 2)


async def alerts(bench: LetterBench, count: int) -> bool:
    return bench.database["outbox"].count_documents({"cause": {"$regex": "^messages_missing"}}) == count


async def audits(bench: LetterBench) -> bool:
    return bench.database["leases"].find_one({"_id": "conservation audit"}) is not None

"""The conservation audit: what was taken from a queue is found again, or a red row and an alert say that it is not."""

import asyncio
from datetime import UTC, datetime, timedelta

from deadletters.conservation import Audit, audit, difference_words
from models.letter import LetterFilter, LetterState
from models.settings import Settings
from store.database import Database
from store.letters import LetterRepository
from tests.deadletters.conftest import LetterBench, replay_now, running, update_body
from tests.support import eventually_async

GARBAGE = 7
UPDATES = 20


async def look(settings: Settings, database: Database) -> Audit:
    return await audit(settings, database, datetime.now(UTC) - timedelta(hours=2))


async def publish(bench: LetterBench) -> None:
    updates = [update_body(f"job-{n}") for n in range(UPDATES)]
    await asyncio.to_thread(bench.publish, *updates, *[b"{"] * GARBAGE)
    await asyncio.to_thread(bench.publish, updates[0], updates[0], message_id="twice")


async def wait_until_stored(bench: LetterBench) -> None:
    async def stored() -> bool:
        tally = bench.database["tallies"].find_one({"queue": bench.settings.reply_queue})
        return tally is not None and tally["handed_out"] == UPDATES + GARBAGE + 2

    await eventually_async(stored)


async def a_clean_run(settings: Settings, bench: LetterBench) -> None:
    async with running(settings):
        await publish(bench)
        await wait_until_stored(bench)
        await asyncio.to_thread(bench.wait_for_states, open=GARBAGE)


async def test_a_clean_run_balances_with_duplicates_dead_letters_and_replays(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    await a_clean_run(settings, bench)
    async with running(settings):
        await replay_now(database, settings, LetterFilter(), staged=False)
        await asyncio.to_thread(bench.wait_for_states, open=GARBAGE, failed_again=GARBAGE)
    result = await look(settings, database)

    assert result.missing == 0
    replies = [balance.tally for balance in result.balances if balance.tally.queue == settings.reply_queue]
    assert sum(tally.stored for tally in replies) == UPDATES + 1
    assert sum(tally.duplicates for tally in replies) == 1
    assert sum(tally.dead_lettered for tally in replies) == 2 * GARBAGE
    assert {balance.tally.queue for balance in result.balances} == {settings.reply_queue, settings.dead_letter_queue}


async def test_a_document_that_is_gone_is_a_red_row_and_one_alert(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    settings = settings.model_copy(update={"slack_channel": "#ops"})
    await a_clean_run(settings, bench)
    bench.database["extractions"].delete_one({})
    bench.database["dead_letters"].delete_one({})
    result = await look(settings, database)

    words = {balance.tally.queue: difference_words(balance) for balance in result.balances if balance.missing}
    assert words == {
        settings.reply_queue: f"{UPDATES + 1} stored, {UPDATES} found; "
        f"{GARBAGE} dead letters, {GARBAGE - 1} captured, 0 waiting",
        settings.dead_letter_queue: f"{GARBAGE} stored, {GARBAGE - 1} found",
    }
    assert result.missing == 3
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


async def test_letters_that_still_wait_in_their_queue_are_no_difference(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    async with running(settings, letters=False):
        await publish(bench)
        await wait_until_stored(bench)
    result = await look(settings, database)
    (balance,) = result.balances
    assert (balance.missing, balance.waiting, balance.found.letters) == (0, GARBAGE, 0)

    await asyncio.to_thread(bench.channel.queue_purge, settings.dead_letter_queue)
    result = await look(settings, database)
    assert result.missing == GARBAGE


async def test_expired_letters_leave_an_entry_in_the_archive_and_the_balance_stays(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    await a_clean_run(settings, bench)
    letters = LetterRepository(database)
    assert await letters.discard(LetterFilter(), "no use") == GARBAGE
    assert await letters.expire(datetime.now(UTC) - timedelta(days=1)) == 0
    assert await letters.expire(datetime.now(UTC) + timedelta(days=1)) == GARBAGE

    assert bench.letters() == []
    archive = list(bench.database["dead_letter_archive"].find())
    assert [entry["note"] for entry in archive] == ["no use"] * GARBAGE
    assert all("body" not in entry and "removed_at" in entry for entry in archive)
    assert [group["counts"] for group in bench.groups()] == [{"open": 0, LetterState.DISCARDED.value: 0}]
    assert (await look(settings, database)).missing == 0

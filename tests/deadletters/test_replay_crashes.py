"""A replayer that is killed or frozen at any moment sends nothing twice and leaves nothing out; nor do outages.

`make soak` runs the first two with ten times as many letters.
"""

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from jobtrail.deadletters.dry_run import DryRunner
from jobtrail.deadletters.outcomes import OutcomeSettler
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.dead_letters.dry_run import Verdict
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.errors import BusyError
from jobtrail.models.settings import Settings
from jobtrail.stack.private_stack import PrivateStack
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.replays import ReplayRepository
from tests.deadletters.acts import start_replay
from tests.deadletters.conftest import (
    LetterBench,
    LettersProcess,
    MakeProcess,
    declare,
    own_settings,
    packed,
    publish_all,
    running,
    take_all,
    update_body,
)
from tests.support import Names, eventually, eventually_async

SOAK = bool(os.environ.get("SOAK"))
COUNT = 50_000 if SOAK else 5_000
CAUSES = 40
KILLS = 25 if SOAK else 5
WAIT_S = 600.0 if SOAK else 60.0
ALL = LetterFilter()
WORDS = [f"{first} {second}" for first in ("bad", "odd", "old", "wet") for second in "abcdefghij"]

pytestmark = pytest.mark.timeout(1200 if SOAK else 300)


def rejected_by(queue: str, count: int) -> list[tuple[bytes, bytes]]:
    """Letters of another service, as the broker dead-letters them, of 40 causes."""
    now = datetime.now(UTC)
    death = {"queue": queue, "reason": "rejected", "count": 1, "exchange": "", "routing-keys": [queue], "time": now}
    raw = packed(headers={"x-death": [death]}, delivery_mode=2)
    return [
        (raw, json.dumps({"n": n, "extractor_info": {"name": f"ncsa.{n % CAUSES}"}}).encode()) for n in range(count)
    ]


def put_away_by_the_consumer(settings: Settings, count: int) -> list[tuple[bytes, bytes]]:
    """Letters that the consumer seems to have put away, for 40 causes that are mended by now."""
    return [
        (
            packed(
                headers={
                    "jobtrail-reason": "wrong_type",
                    "jobtrail-error": f"a {WORDS[n % CAUSES]} field, number {n}",
                    "jobtrail-queue": settings.reply_stream,
                    "jobtrail-seq": 1_000_000 + n,
                },
                delivery_mode=2,
                message_id=f"update-{n}" if n % 2 else f"{settings.reply_stream}/{1_000_000 + n}",
            ),
            update_body(f"job-{n}"),
        )
        for n in range(count)
    ]


async def capture(settings: Settings, bench: LetterBench, messages: list[tuple[bytes, bytes]]) -> None:
    _ = bench.channel
    bench.disconnect()  # nobody would answer the broker's heartbeats
    letters = bench.database["dead_letters"]
    async with running(settings, consumer=False):
        await publish_all(settings, settings.dead_letter_queue, messages)
        await asyncio.to_thread(eventually, lambda: letters.count_documents({}) == len(messages), WAIT_S)


async def are_grouped_and_judged(settings: Settings, database: Database, verdict: Verdict, count: int) -> None:
    page = await CauseRepository(database).list(unsettled_only=True, limit=100)
    assert [group.unsettled for group in page.rows] == [count // CAUSES] * CAUSES
    judged = await DryRunner(settings, database).run(ALL)
    assert judged.counts == {verdict: count}


def run_with_kills(process: LettersProcess, moments: random.Random, kills: int) -> None:
    """Start the replayer again and again until it is done; it is killed at random moments."""
    for _ in range(kills):
        process.start()
        time.sleep(moments.uniform(0, 0.8))  # the moment itself is what is tested
        process.kill()
    process.start()
    assert process.wait(WAIT_S) == 0


async def assert_counted(database: Database, replay_id: str, count: int) -> None:
    replay = await ReplayRepository(database).get(replay_id)
    assert (replay.state, replay.total, replay.sent) == (ReplayState.DONE, count, count)
    assert sum(replay.counts.values()) == count


async def test_each_letter_reaches_a_plain_queue_once_however_often_its_replayer_is_killed(
    settings: Settings,
    names: Names,
    bench: LetterBench,
    database: Database,
    letters_process: MakeProcess,
    random_moments: random.Random,
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    messages = rejected_by(work, COUNT)
    await capture(settings, bench, messages)
    await are_grouped_and_judged(settings, database, Verdict.UNKNOWN, COUNT)
    replay = await start_replay(database, ALL, who="ann", origin="cli", staged=False)
    await asyncio.to_thread(run_with_kills, letters_process(settings, replay.id), random_moments, KILLS)

    arrived = Counter(body for _raw, body in await take_all(settings, work))
    assert set(arrived.values()) == {1}
    assert set(arrived) == {body for _raw, body in messages}
    assert bench.states() == {"replayed": COUNT}
    await assert_counted(database, replay.id, COUNT)


async def test_each_letter_is_stored_once_and_resolved_however_often_its_replayer_is_killed(
    settings: Settings,
    bench: LetterBench,
    database: Database,
    letters_process: MakeProcess,
    random_moments: random.Random,
) -> None:
    await capture(settings, bench, put_away_by_the_consumer(settings, COUNT))
    await are_grouped_and_judged(settings, database, Verdict.APPLIES, COUNT)
    replay = await start_replay(database, ALL, who="ann", origin="cli")
    async with running(settings, letters=False):
        await asyncio.to_thread(run_with_kills, letters_process(settings, replay.id), random_moments, KILLS)
        judge, letters = OutcomeSettler(settings, database), bench.database["dead_letters"]

        async def are_resolved() -> bool:
            await judge.judge()
            return letters.count_documents({"state": LetterState.RESOLVED.value}) == COUNT

        await eventually_async(are_resolved, WAIT_S)
    jobs = Counter(event["job_id"] for event in bench.events())
    assert jobs == {f"job-{n}": 1 for n in range(COUNT)}
    assert {event["replay_id"] for event in bench.events()} == {replay.id}
    (position,) = bench.database["positions"].find({"_id": f"stream {settings.reply_stream}"})
    tally = position["tally"]
    assert (tally["handed_out"], tally["duplicates"]) == (COUNT, 0), "not one was even sent twice"
    await assert_counted(database, replay.id, COUNT)


async def test_a_frozen_replayer_keeps_others_out_until_the_broker_has_dropped_it(
    settings: Settings, names: Names, bench: LetterBench, database: Database, letters_process: MakeProcess
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await capture(settings, bench, rejected_by(work, 2000))
    replay = await start_replay(database, ALL, who="ann", origin="cli", rate=400, staged=False)
    restless = settings.model_copy(update={"amqp_url": with_heartbeat(settings, 2)})
    frozen, second = letters_process(restless, replay.id), letters_process(restless, replay.id)
    frozen.start()
    replays = ReplayRepository(database)
    await eventually_async(lambda: has_sent(replays, replay.id, 400))
    frozen.signal(signal.SIGSTOP)
    sent = (await replays.get(replay.id)).sent
    second.start()
    assert (await replays.get(replay.id)).sent == sent, "the frozen one still has the right to send"
    await eventually_async(lambda: has_sent(replays, replay.id, sent + 1))
    frozen.signal(signal.SIGCONT)
    assert (second.wait(), frozen.wait()) == (0, 0)

    arrived = [body for _raw, body in await take_all(settings, work)]
    assert sorted(arrived) == sorted(body for _raw, body in rejected_by(work, 2000))
    await assert_counted(database, replay.id, 2000)


def with_heartbeat(settings: Settings, seconds: int) -> object:
    assert settings.amqp_url is not None
    return type(settings.amqp_url)(f"{settings.require_amqp_url()}?heartbeat={seconds}")


async def has_sent(replays: ReplayRepository, replay_id: str, count: int) -> bool:
    return (await replays.get(replay_id)).sent >= count


@pytest.fixture
def own_bench(own_stack: PrivateStack, settings: Settings) -> Iterator[LetterBench]:
    """A bench on services of the test's own."""
    bench = LetterBench(own_settings(settings, own_stack.urls))
    yield bench
    bench.close()


async def test_the_broker_and_the_database_are_restarted_in_the_middle_of_a_replay(
    own_bench: LetterBench, own_stack: PrivateStack, letters_process: MakeProcess
) -> None:
    settings, count = own_bench.settings, 2500
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await database.ensure_indexes()
        await declare(settings, "work")
        messages = rejected_by("work", count)
        await capture(settings, own_bench, messages)
        replay = await start_replay(database, ALL, who="ann", origin="cli", rate=500, staged=False)
        process = letters_process(settings, replay.id)
        process.start()
        replays = own_bench.database["replays"]
        eventually(lambda: replays.find_one({"sent": {"$gt": 0}}) is not None)
        own_bench.disconnect()
        own_stack.rabbitmq.stop()
        assert process.running
        with pytest.raises(BusyError):
            await start_replay(database, ALL, who="bob", origin="cli")
        own_stack.rabbitmq.start()
        before = replays.find_one({})["sent"]
        eventually(lambda: replays.find_one({"sent": {"$gt": before}}) is not None)
        own_stack.mongod.kill()
        own_stack.mongod.start()
        assert await asyncio.to_thread(process.wait) == 0

        arrived = [body for _raw, body in await take_all(settings, "work")]
        assert sorted(arrived) == sorted(body for _raw, body in messages)
        await assert_counted(database, replay.id, count)

"""What becomes of letters that are sent again, and when a replay waits, halts, is refused or is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from jobtrail.broker.channel import Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.properties import decode
from jobtrail.deadletters.outcomes import OutcomeSettler
from jobtrail.deadletters.replayer import Replayer
from jobtrail.models.dead_letters.dead_letter import Edit, LetterFilter, LetterState, Sending
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.errors import BusyError, NotFoundError, TooLateError
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replayed import Settlement
from jobtrail.store.dead_letters.replays import ReplayRepository
from tests.deadletters.acts import discard_letters, restore_letters, start_replay
from tests.deadletters.conftest import (
    LetterBench,
    declare,
    packed,
    publish_all,
    replay_now,
    running,
    take_all,
    update_body,
)
from tests.support import Names, eventually_async

ALL = LetterFilter()


async def states_are(bench: LetterBench, **wanted: int) -> None:
    await asyncio.to_thread(bench.wait_for_states, **wanted)


async def capture_updates(settings: Settings, bench: LetterBench, bodies: list[bytes]) -> None:
    """Letters that the consumer seems to have put away: what was wrong with them is mended, or is not."""
    _ = bench.channel
    messages = [
        (
            packed(
                headers={
                    "jobtrail-reason": "too_large",
                    "jobtrail-error": f"{1000 + number} bytes",
                    "jobtrail-queue": settings.reply_stream,
                    "jobtrail-seq": 1_000_000 + number,
                },
                message_id=f"{settings.reply_stream}/{1_000_000 + number}",
            ),
            body,
        )
        for number, body in enumerate(bodies)
    ]
    await publish_all(settings, settings.dead_letter_queue, messages)
    async with running(settings, consumer=False):
        await states_are(bench, open=len(bodies))


async def capture_theirs(settings: Settings, bench: LetterBench, origin: str, count: int) -> None:
    """Letters of another service, as the broker dead-letters them."""
    _ = bench.channel
    now = datetime.now(UTC)
    death = {"queue": origin, "reason": "rejected", "count": 1, "exchange": "", "routing-keys": [origin], "time": now}
    messages = [(packed(headers={"x-death": [death], "n": n}), b"body %d" % n) for n in range(count)]
    await publish_all(settings, settings.dead_letter_queue, messages)
    async with running(settings, consumer=False):
        await states_are(bench, open=count)


@asynccontextmanager
async def rejecting(settings: Settings, queue: str) -> AsyncIterator[None]:
    """A service that rejects whatever it gets."""
    async with Connection(settings.require_amqp_url(), "a service of a test") as connection:
        channel = await connection.channel()

        def reject(delivery: Delivery) -> None:
            channel.raw.basic_reject(delivery.tag, requeue=False)

        await channel.consume(queue, reject)
        yield


async def test_a_letter_that_fails_again_is_counted_and_linked_to_what_it_came_back_as(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    dead = {"x_dead_letter_exchange": "", "x_dead_letter_routing_key": settings.dead_letter_queue}
    await declare(settings, work, **dead)
    await capture_theirs(settings, bench, work, 700)
    async with rejecting(settings, work), running(settings, consumer=False):
        replay = await replay_now(database, settings, ALL, staged=False)
        await states_are(bench, failed_again=700, open=700)

    parents = {str(letter["_id"]): letter for letter in bench.letters(state="failed_again")}
    for child in bench.letters(state="open"):
        parent = parents[child["parent"]]
        (sending,) = parent["sendings"]
        assert (sending["child"], sending["outcome"]) == (str(child["_id"]), "failed_again")
        assert (sending["replay_id"], sending["target"], child["sent_by"]) == (replay.id, work, replay.id)
        assert (child["body"], child["deaths"]) == (parent["body"], 1)
    replay = await ReplayRepository(database).get(replay.id)
    assert (replay.state, replay.sent, replay.counts) == (ReplayState.DONE, 700, {LetterState.FAILED_AGAIN: 700})


async def test_what_is_not_heard_of_for_too_long_is_unknown_and_may_be_sent_once_more(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await capture_theirs(settings, bench, work, 3)
    hasty = settings.model_copy(update={"replay_outcome_timeout_s": 0.001})
    first = await replay_now(database, settings, ALL, staged=False)
    judges = [OutcomeSettler(hasty, database) for _ in range(4)]
    await asyncio.gather(*(judge.judge() for judge in judges))
    assert bench.states() == {"unknown": 3}
    replays = ReplayRepository(database)
    assert (await replays.get(first.id)).counts == {LetterState.UNKNOWN: 3}

    second = await replay_now(database, settings, ALL, staged=False)
    assert bench.states() == {"replayed": 3}
    assert len(await take_all(settings, work)) == 6
    assert (await replays.get(first.id)).counts == {LetterState.UNKNOWN: 3}
    assert (await replays.get(second.id)).counts == {LetterState.REPLAYED: 3}
    with pytest.raises(NotFoundError, match="no dead letter to replay"):
        await start_replay(database, ALL, who="ann", origin="cli")


async def test_a_poisoned_group_halts_its_staged_replay_after_the_first_ten(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    bodies = [update_body("good-job"), *(update_body("bad-job", file_id=None) for _ in range(59))]
    await capture_updates(settings, bench, bodies)
    (group,) = (await CauseRepository(database).list(unsettled_only=True, limit=10)).rows
    async with running(settings):
        replay = await replay_now(database, settings, LetterFilter(cause_id=group.id))
        await states_are(bench, resolved=1, failed_again=9, open=50 + 9)

    assert (replay.state, replay.sent) == (ReplayState.HALTED, 10)
    assert "of the first 10 failed again; nothing more was sent" in replay.detail
    assert [event["job_id"] for event in bench.events()] == ["good-job"]


async def test_a_healthy_staged_replay_goes_on_to_the_rest(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    await capture_updates(settings, bench, [update_body(f"job-{n}") for n in range(40)])
    seen: list[Replay] = []
    async with running(settings, letters=False):  # the service would run the replay too
        replay = await start_replay(database, ALL, who="ann", origin="cli")
        await Replayer(settings, database, asyncio.Event(), seen.append).run(replay.id)
    async with running(settings):
        await states_are(bench, resolved=40)

    waiting = {each.sent for each in seen if each.pending}
    assert {each.sent for each in seen} == {0, 1, 10, 40}
    assert waiting <= {1, 10, 40}


async def test_a_replay_to_another_queue_sends_the_bytes_and_properties_there(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    other = names.queue("other")
    await declare(settings, other)
    await declare(settings, names.queue("copied"))
    headers = {"x-death": [], "CC": [names.queue("copied")], "double": 0.1, "jobtrail-queue": "x", "mine": {"a": [1]}}
    properties = packed(
        headers=headers, user_id="somebody", expiration="1", priority=3, content_type="text/plain", reply_to="r"
    )
    _ = bench.channel
    await publish_all(settings, settings.dead_letter_queue, [(packed(), b"\xff\0"), (packed(headers=headers), b"{}")])
    async with running(settings, consumer=False):
        await states_are(bench, open=2)
    # The broker itself refuses another account's name and lets letters expire: such ones come by import.
    bench.database["dead_letters"].update_one({"body": b"\xff\0"}, {"$set": {"properties": properties}})
    replay = await replay_now(database, settings, ALL, target=other, staged=False)

    assert replay.state is ReplayState.DONE
    (raw, body), _second = await take_all(settings, other)
    sent = decode(raw)
    ids = [str(letter["_id"]) for letter in bench.letters()]
    assert body == b"\xff\0"
    assert sent.headers == {
        "double": 0.1,
        "mine": {"a": [1]},
        "jobtrail-replay": replay.id,
        "jobtrail-letter": ids[0],
    }
    assert (sent.user_id, sent.expiration, sent.message_id) == (None, None, None)
    assert (sent.priority, sent.content_type, sent.reply_to, sent.delivery_mode) == (3, "text/plain", "r", 2)
    assert len(await take_all(settings, names.queue("copied"))) == 1, "the copy that its sender wanted"


async def test_the_rate_is_kept_and_a_slow_replay_is_cancelled_at_once(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await capture_theirs(settings, bench, work, 30)
    begun = asyncio.get_running_loop().time()
    replay = await replay_now(database, settings, LetterFilter(ids=ids(bench)[:10]), rate=5, staged=False)
    took_s = asyncio.get_running_loop().time() - begun
    assert (replay.sent, took_s >= 1) == (10, True)

    slow = await start_replay(database, ALL, who="ann", origin="cli", rate=0.01, staged=False)
    running_it = asyncio.create_task(Replayer(settings, database, asyncio.Event()).run(slow.id))
    replays = ReplayRepository(database)
    await eventually_async(lambda: _sent(replays, slow.id, 1))
    begun = asyncio.get_running_loop().time()
    await replays.ask_to_cancel(slow.id)
    assert await running_it
    assert asyncio.get_running_loop().time() - begun < 10, "a letter goes every 100 s"
    slow = await replays.get(slow.id)
    assert (slow.state, slow.sent) == (ReplayState.CANCELLED, 1)
    assert bench.states() == {"open": 19, "replayed": 11}
    assert len(await take_all(settings, work)) == 11


def ids(bench: LetterBench) -> list[str]:
    return [str(letter["_id"]) for letter in bench.letters()]


async def _sent(replays: ReplayRepository, replay_id: str, count: int) -> bool:
    return (await replays.get(replay_id)).sent >= count


async def test_of_two_operators_at_once_one_gets_the_letters_and_the_other_is_told_who_holds_them(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await capture_theirs(settings, bench, work, 10)
    replays = ReplayRepository(database)
    some = LetterFilter(ids=ids(bench)[:5])
    for _round in range(20):
        asked = await asyncio.gather(
            *(
                start_replay(database, selection, who=who, origin="cli")
                for who, selection in (("ann", ALL), ("bob", some), ("cid", ALL))
            ),
            return_exceptions=True,
        )
        (winner,) = [each for each in asked if isinstance(each, Replay)]
        refusals = [str(each) for each in asked if isinstance(each, BusyError)]
        assert len(refusals) == 2
        assert all(f"replay {winner.id}, which {winner.who} requested" in words for words in refusals)
        await replays.ask_to_cancel(winner.id)
        assert await Replayer(settings, database, asyncio.Event()).run(winner.id)
    assert bench.states() == {"open": 10}
    assert await take_all(settings, work) == []


async def test_what_a_replay_has_claimed_is_held_until_its_end_and_looked_for_as_such(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    await capture_theirs(settings, bench, names.queue("work"), 4)
    first, second, third, fourth = ids(bench)
    letters, replays = LetterRepository(database), ReplayRepository(database)

    async def found(*states: LetterState) -> list[str]:
        page = await letters.list(LetterFilter(states=states or None), limit=10)
        assert all(letter.state in states for letter in page.rows) or not states
        return sorted(letter.id for letter in page.rows)

    replay = await start_replay(database, LetterFilter(ids=[first, second]), who="ann", origin="cli")
    runner = await replays.begin(replay.id)
    assert [letter.id for letter in await replays.claim(replay, 1, runner)] == [first]
    assert await found(LetterState.HELD) == await found(LetterState.HELD, LetterState.RESOLVED) == [first]
    assert await found(LetterState.OPEN) == await found(LetterState.OPEN, LetterState.UNKNOWN)
    assert await found(LetterState.OPEN) == [second, third, fourth]
    assert await found(LetterState.HELD, LetterState.OPEN) == await found() == ids(bench)
    assert await found(LetterState.RESOLVED) == []
    held = await letters.get(first)
    assert (held.state, held.replay_id) == (LetterState.HELD, replay.id)
    with pytest.raises(TooLateError, match="held"):
        await letters.edit(first, Edit(body=b"", properties=b"", by="bob", at=held.captured_at))

    await replays.end(replay.id, runner, ReplayState.CANCELLED, "")
    assert await found(LetterState.HELD) == []
    assert await found(LetterState.OPEN) == ids(bench)
    assert (await letters.get(first)).replay_id is None


async def test_a_replay_sends_no_letter_again_that_another_one_has_sent_since(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    await capture_theirs(settings, bench, names.queue("work"), 3)
    both_want, only_first_wants, only_second_wants = ids(bench)
    replays = ReplayRepository(database)

    async def under_way(*wanted: str) -> tuple[Replay, str]:
        replay = await start_replay(database, LetterFilter(ids=list(wanted)), who="ann", origin="cli")
        return replay, await replays.begin(replay.id)

    async def note_sent(replay: Replay) -> None:
        sending = Sending(replay_id=replay.id, at=datetime.now(UTC), target="work")
        await replays.note_sent(replay.id, {both_want: sending})

    async def lose_sight(replay: Replay) -> None:
        lost = Settlement(letter_id=both_want, replay_id=replay.id, outcome=LetterState.UNKNOWN, detail="")
        await replays.settle([lost])

    first, its_runner = await under_way(both_want, only_first_wants)
    assert [letter.id for letter in await replays.claim(first, 1, its_runner)] == [both_want]
    await note_sent(first)
    second, runner = await under_way(both_want, only_second_wants)
    await lose_sight(first)
    assert [letter.id for letter in await replays.claim(second, 1, runner)] == [both_want]
    await note_sent(second)
    await lose_sight(second)

    assert [letter.id for letter in await replays.claim(first, 9, its_runner)] == [only_first_wants]


async def test_letters_in_the_hands_of_a_replay_are_not_discarded(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await capture_theirs(settings, bench, work, 3)
    replay = await start_replay(database, LetterFilter(ids=ids(bench)[:2]), who="ann", origin="cli", staged=False)
    with pytest.raises(BusyError, match=f"replay {replay.id}, which ann requested"):
        await discard_letters(database, ALL, "no use")
    assert await discard_letters(database, LetterFilter(ids=ids(bench)[2:]), "no use") == 1
    await Replayer(settings, database, asyncio.Event()).run(replay.id)
    assert await discard_letters(database, ALL, "no use") == 0, "what was sent is not to be discarded"
    assert await restore_letters(database, ALL) == 1
    assert bench.states() == {"open": 1, "replayed": 2}


async def test_a_queue_that_is_missing_or_unknown_halts_a_replay_and_nothing_is_sent(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    _ = bench.channel
    await publish_all(settings, settings.dead_letter_queue, [(packed(), b"from nowhere")])
    async with running(settings, consumer=False):
        await states_are(bench, open=1)
    unsendable = await replay_now(database, settings, ALL)
    assert (unsendable.state, unsendable.sent) == (ReplayState.HALTED, 0)
    assert "the origin of a dead letter is unknown" in unsendable.detail
    missing = await replay_now(database, settings, ALL, target=names.queue("missing"))
    assert (missing.state, missing.sent) == (ReplayState.HALTED, 0)
    assert f"queue {names.queue('missing')!r} does not exist" in missing.detail
    assert bench.states() == {"open": 1}


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_a_queue_that_is_full_halts_a_replay_and_nothing_is_lost(
    settings: Settings, names: Names, bench: LetterBench, database: Database, kind: str
) -> None:
    full = names.queue("full")
    await declare(settings, full, x_queue_type=kind, x_max_length=40, x_overflow="reject-publish")
    await capture_theirs(settings, bench, full, 300)
    # In batches: a quorum queue refuses only what comes after it was found to be full.
    replay = await replay_now(database, settings, ALL, rate=100, staged=False)

    assert replay.state is ReplayState.HALTED
    assert "their queue is full or gone" in replay.detail
    first = await take_all(settings, full)
    assert len(first) == replay.sent < 300
    assert bench.states() == {"open": 300 - replay.sent, "replayed": replay.sent}
    rest = names.queue("rest")
    await declare(settings, rest)
    await replay_now(database, settings, ALL, target=rest, staged=False)
    bodies = [body for _raw, body in [*first, *await take_all(settings, rest)]]
    assert sorted(bodies) == sorted(b"body %d" % n for n in range(300))


async def test_a_queue_that_is_declared_anew_in_the_middle_gets_the_rest(
    settings: Settings, names: Names, bench: LetterBench, database: Database
) -> None:
    work = names.queue("work")
    await declare(settings, work)
    await capture_theirs(settings, bench, work, 4)
    replay = await start_replay(database, ALL, who="ann", origin="cli", rate=2, staged=False)
    running_it = asyncio.create_task(Replayer(settings, database, asyncio.Event()).run(replay.id))
    await eventually_async(lambda: _sent(ReplayRepository(database), replay.id, 1))
    before = len(await take_all(settings, work))
    await asyncio.to_thread(bench.channel.queue_delete, work)
    await declare(settings, work)
    await running_it
    replay = await ReplayRepository(database).get(replay.id)
    assert replay.state in (ReplayState.DONE, ReplayState.HALTED)
    assert before + len(await take_all(settings, work)) == replay.sent

"""A letter's way: captured, grouped, judged, replayed, and its outcome."""

import asyncio

from jobtrail.deadletters.dry_run import DryRunner
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.dead_letters.dry_run import Verdict
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.causes import CauseRepository
from tests.deadletters.conftest import LetterBench, replay_now, running, update_body


async def test_letters_are_captured_grouped_and_replayed_once_their_cause_is_mended(
    settings: Settings, bench: LetterBench, database: Database
) -> None:
    too_small = settings.model_copy(update={"max_body_bytes": 1024})
    async with running(too_small):
        await asyncio.to_thread(bench.publish, *(update_body(f"job-{n}", "x" * (2000 + n)) for n in range(20)), b"{")
        await asyncio.to_thread(bench.wait_for_states, open=21)
    groups = {
        group.cause.reason: group
        for group in (await CauseRepository(database).list(unsettled_only=True, limit=10)).rows
    }
    assert {reason: group.unsettled for reason, group in groups.items()} == {"too_large": 20, "not_json": 1}
    assert sum(groups["too_large"].hours) == 20

    selection = LetterFilter(cause_id=groups["too_large"].id)
    judged = await DryRunner(settings, database).run(selection)
    assert judged.counts == {Verdict.APPLIES: 20}
    still = await DryRunner(too_small, database).run(LetterFilter())
    assert still.counts == {Verdict.FAILS: 21}

    async with running(settings):
        replay = await replay_now(database, settings, selection)
        assert (replay.state, replay.sent) == (ReplayState.DONE, 20)
        await asyncio.to_thread(bench.wait_for_states, open=1, resolved=20)
    assert sorted(event["job_id"] for event in bench.events()) == sorted(f"job-{n}" for n in range(20))
    assert {event["replay_id"] for event in bench.events()} == {replay.id}
    group = await CauseRepository(database).get(groups["too_large"].id)
    assert group.counts == {LetterState.RESOLVED: 20}

"""A job of a real pyClowder worker that failed for good: replayed from its error queue, it is the next attempt."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobtrail.deadletters import letter_maker
from jobtrail.deadletters.dry_run import DryRunner
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterKind
from jobtrail.models.dead_letters.dry_run import Verdict
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.models.settings import Settings
from jobtrail.models.topology import error_queue
from jobtrail.publisher.submission import submit
from jobtrail.stack.demo import wordcount
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.replays import ReplayRepository
from tests.deadletters.conftest import LetterBench, declare, replay_now, running
from tests.support import WAIT_S, Names, eventually

REQUESTS = LetterFilter(kind=LetterKind.REQUEST)
ATTEMPTS = 11
"""pyClowder tries a job once, and ten times more."""


@pytest.fixture
def worker(settings: Settings, names: Names, tmp_path: Path) -> Iterator[str]:
    """A word count of this test's own, by its queue's name."""
    name = names.extractor("wordcount")
    home = Path(wordcount.__path__[0])
    environment = os.environ | {
        "RABBITMQ_URI": settings.require_amqp_url(),
        "RABBITMQ_QUEUE": name,
        "HEARTBEAT": "60",
    }
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(home / "wordcount.py")], env=environment, cwd=home, stdout=log, stderr=log
        )
    yield name
    process.terminate()
    process.wait(60)


async def test_a_request_that_was_given_up_is_replayed_as_a_further_attempt_of_the_same_job(
    settings: Settings,
    worker: str,
    bench: LetterBench,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(letter_maker, "_END_WITHIN_S", WAIT_S)
    settings = settings.model_copy(update={"capture_queues": error_queue(worker)})
    file = tmp_path / "poem.txt"
    _ = bench.channel
    await declare(settings, worker)
    async with running(settings):
        job_id = submit(
            settings.require_amqp_url(),
            worker,
            resource_id="5cb2d2d3a4be0f9fd3400001",
            filename=file.name,
            user_id="amara",
            parameters={"path": str(file), "duration_s": 0},
            reply_queue=settings.reply_stream,
        )
        await asyncio.to_thread(bench.wait_for_states, open=1)
        (letter,) = bench.letters()
        assert (letter["kind"], letter["job_id"], letter["origin"]) == ("request", job_id, worker)
        assert letter["deaths"] == ATTEMPTS
        assert "No such file" in letter["error"], "what the job itself said at its end"
        assert (await DryRunner(settings, database).run(REQUESTS)).counts == {Verdict.APPLIES: 1}

        again = await replay_now(database, settings, REQUESTS)
        await asyncio.to_thread(bench.wait_for_states, failed_again=1, open=1)
        assert bench.job(job_id)["attempts"] == 2 * ATTEMPTS, "its retries are counted anew"

        file.write_text("one two\nthree\n")
        mended = await replay_now(database, settings, REQUESTS)
        await asyncio.to_thread(bench.wait_for_states, failed_again=1, resolved=1)
        await asyncio.to_thread(eventually, lambda: bench.job(job_id)["status"] == "SUCCEEDED")

    job = bench.job(job_id)
    assert (job["attempts"], job["user_id"]) == (2 * ATTEMPTS + 1, "amara")
    events = list(bench.database["extractions"].find({"job_id": job_id}).sort("position", 1))
    begun = {event["attempt"]: event.get("correlation_id") for event in events if event["state"] == "STARTED"}
    mark = events[0]["correlation_id"]
    assert [begun[attempt] for attempt in (1, ATTEMPTS + 1, 2 * ATTEMPTS + 1)] == [mark] * 3, "its submitter's"
    marks = [(event["replay_id"], event["message"]) for event in events if event.get("replay_id")]
    assert marks == [
        (replay.id, f"Replayed to {worker} by tester, out of the dead letters.") for replay in (again, mended)
    ]
    first, second = bench.letters()
    assert second["parent"] == str(first["_id"])
    assert first["sendings"][0]["child"] == str(second["_id"])
    assert second["sendings"][0]["detail"] == f"attempt {2 * ATTEMPTS + 1} of its job ended as SUCCEEDED"
    states = [(await ReplayRepository(database).get(replay.id)).state for replay in (again, mended)]
    assert states == [ReplayState.DONE] * 2

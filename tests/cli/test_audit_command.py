import json
from pathlib import Path

import pytest

from models.settings import Settings
from tests.cli.support import JobTrail, update
from tests.cli.test_services import publish, running
from tests.deadletters.conftest import LetterBench
from tests.support import eventually


@pytest.fixture
def bench(settings: Settings) -> LetterBench:
    return LetterBench(settings)


def test_a_message_is_accounted_for_until_somebody_takes_it_away(
    jobtrail: JobTrail, settings: Settings, bench: LetterBench, amqp_url: str, tmp_path: Path
) -> None:
    with (
        running(jobtrail, "consume", tmp_path / "consumer.log"),
        running(jobtrail, "deadletters capture", tmp_path / "letters.log"),
    ):
        bodies = [update("job", f"step {n}") for n in range(5)]
        publish(amqp_url, settings.reply_queue, *bodies, update("job", "step", start="noon"))
        eventually(lambda: len(bench.events()) == 5 and len(bench.letters()) == 1)
        done = jobtrail.run("audit", "--json")
        told = json.loads(done.stdout)

        assert (done.returncode, told["missing"]) == (0, 0)
        handed_out = {
            queue: sum(balance["handed_out"] for balance in told["balances"] if balance["queue"] == queue)
            for queue in (settings.reply_queue, settings.dead_letter_queue)
        }
        assert handed_out == {settings.reply_queue: 6, settings.dead_letter_queue: 1}
        assert {each["queue"]: each["waiting"] for each in told["queues"]} == dict.fromkeys(handed_out, 0)
        text = jobtrail.run("audit", COLUMNS="80").stdout
        assert "✔ All 7 messages since" in text
        assert f"{settings.reply_queue}  0 waiting, 1 consuming" in text
        assert all(len(line) <= 80 for line in text.splitlines())

        bench.database["extractions"].delete_one({"seq": 3})
        missing = jobtrail.run("audit", COLUMNS="80")

        assert missing.returncode == 1
        assert ": 5 stored, 4 found" in missing.stdout
        assert "✖ 1 message is missing since" in missing.stdout
        assert json.loads(jobtrail.run("audit", "--json").stdout)["missing"] == 1
    bench.close()


def test_where_no_message_came_it_is_said_what_to_do(jobtrail: JobTrail) -> None:
    assert jobtrail.json("audit")["balances"] == []
    assert "jobtrail audit --since 1w" in jobtrail.run("audit").stdout
    assert jobtrail.run("audit", "--since", "soon").returncode == 2

import json
from pathlib import Path

import pytest

from jobtrail.models.settings import Settings
from tests.cli.support import JobTrail, update
from tests.cli.test_services import publish, running
from tests.deadletters.conftest import LetterBench
from tests.support import eventually


@pytest.fixture
def bench(settings: Settings) -> LetterBench:
    return LetterBench(settings)


def test_a_message_is_accounted_for_until_somebody_takes_it_away_or_doubles_it(
    jobtrail: JobTrail, settings: Settings, bench: LetterBench, amqp_url: str, tmp_path: Path
) -> None:
    stream = settings.reply_stream
    with running(jobtrail, "consume", tmp_path / "consumer.log"):
        bodies = [update("job", f"step {n}") for n in range(5)]
        publish(amqp_url, stream, *bodies, update("job", "step", start="noon"))
        eventually(lambda: len(bench.events()) == 5 and len(bench.letters()) == 1)
        done = jobtrail.run("verify", "--messages", "--json")
        told = json.loads(done.stdout)

        assert (done.returncode, told["missing"], told["doubled"]) == (0, 0, 0)
        assert {balance["queue"] for balance in told["balances"]} == {stream}
        assert sum(balance["handed_out"] for balance in told["balances"]) == 6
        assert sum(balance["dead_lettered"] for balance in told["balances"]) == 1
        assert told["streams"] == [{"stream": stream, "epoch": 1, "offset": 5, "seq": 6}]
        text = jobtrail.run("verify", "--messages", COLUMNS="80").stdout
        assert "✔ All 6 messages since" in text
        assert f"{stream}  stored up to offset 5" in text
        assert all(len(line) <= 80 for line in text.splitlines())

        copied = bench.database["extractions"].find_one({"seq": 2}, {"_id": 0, "id": 0, "job_id": 0})
        bench.database["extractions"].insert_one(copied)
        bench.database["extractions"].delete_one({"seq": 3})
        wrong = jobtrail.run("verify", "--messages", COLUMNS="80")

        assert wrong.returncode == 1
        assert ": 1 not found: 3; 1 found twice: 2" in wrong.stdout
        assert "✖ 1 message is missing and 1 message is stored twice since" in wrong.stdout
        told = json.loads(jobtrail.run("verify", "--messages", "--json").stdout)
        assert (told["missing"], told["doubled"]) == (1, 1)
        [balance] = [each for each in told["balances"] if each["difference"]]
        assert (balance["missing_numbers"], balance["doubled_numbers"]) == ([3], [2])
    bench.close()


def test_where_no_message_came_it_is_said_what_to_do(jobtrail: JobTrail) -> None:
    assert jobtrail.json("verify", "--messages")["balances"] == []
    assert "jobtrail verify --messages --since 1w" in jobtrail.run("verify", "--messages").stdout
    assert jobtrail.run("verify", "--messages", "--since", "soon").returncode == 2

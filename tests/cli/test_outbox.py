import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jobtrail.models.notifications.outbox import OutboxState
from jobtrail.models.settings import ChannelName, Settings
from jobtrail.store.database import Database
from jobtrail.store.notifications.outbox import OutboxRepository
from tests.cli.support import JobTrail
from tests.reconciler.messages import entry

WAITS = entry(ChannelName.PUSHER)
SENT = replace(entry(ChannelName.SLACK), state=OutboxState.SENT, attempts=1, sent_at=datetime.now(UTC))
REFUSED = "550 User unknown"
FAILED = replace(entry(ChannelName.EMAIL), state=OutboxState.FAILED, attempts=10, error=REFUSED)


@pytest.fixture
async def _filled(settings: Settings) -> None:
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await OutboxRepository(database).insert([WAITS, SENT, FAILED])


@pytest.mark.usefixtures("_filled")
def test_the_outbox_shows_what_waits_what_was_given_up_and_what_was_sent_lately(jobtrail: JobTrail) -> None:
    told = jobtrail.json("outbox")
    text = jobtrail.run("outbox", COLUMNS="80").stdout

    assert {each["key"]: each["state"] for each in told["unsent"]} == {WAITS.key: "waiting", FAILED.key: "failed"}
    assert [each["key"] for each in told["sent"]] == [SENT.key]
    assert told["backlog"] == [
        {"channel": "email", "state": "failed", "count": 1},
        {"channel": "pusher", "state": "waiting", "count": 1},
    ]
    for words in ("email   1 given up", "pusher  1 waiting", "✖ failed", "email to ada@example.org", REFUSED):
        assert words in text
    assert "slack to" in text.partition("Sent lately")[2]
    assert "jobtrail outbox retry" in text
    for line in jobtrail.run("outbox", COLUMNS="200").stdout.splitlines():
        assert len(line) <= 200


async def test_a_key_is_shown_in_one_piece_however_long_it_is(jobtrail: JobTrail, settings: Settings) -> None:
    long = replace(WAITS, key=f"{'mechanical-keyboards' * 3}:Complete:pusher:private-user-alice")
    async with Database(settings.require_mongo_url(), settings.database) as database:
        await OutboxRepository(database).insert([long])

    for columns in ("80", "200"):
        assert f"key {long.key}\n" in jobtrail.run("outbox", COLUMNS=columns).stdout


@pytest.mark.usefixtures("_filled")
def test_only_what_was_given_up_can_be_asked_for(jobtrail: JobTrail) -> None:
    told = jobtrail.json("outbox", "--failed")

    [failed] = told["unsent"]
    assert (failed["key"], failed["attempts"], failed["error"], told["sent"]) == (FAILED.key, 10, REFUSED, [])
    assert "Sent lately" not in jobtrail.run("outbox", "--failed").stdout


@pytest.mark.usefixtures("_filled")
def test_what_was_given_up_is_tried_again(jobtrail: JobTrail) -> None:
    assert jobtrail.json("outbox", "retry", FAILED.key) == {"retried": 1}
    assert jobtrail.json("outbox", "--failed")["unsent"] == []
    assert jobtrail.json("outbox", "retry") == {"retried": 0}
    assert "No message was given up" in jobtrail.run("outbox", "retry").stdout
    missing = jobtrail.run("outbox", "retry", "no-such-key", "--json")
    assert (missing.returncode, json.loads(missing.stderr)["error"]["code"]) == (3, "not_found")


@pytest.mark.usefixtures("_filled")
def test_all_that_was_given_up_is_tried_again_without_a_key(jobtrail: JobTrail) -> None:
    assert "1 message will be tried again" in jobtrail.run("outbox", "retry").stdout
    states = {each["key"]: each["state"] for each in jobtrail.json("outbox")["unsent"]}
    assert states == {WAITS.key: "waiting", FAILED.key: "waiting"}


def test_an_empty_outbox_says_so(jobtrail: JobTrail) -> None:
    assert "No message is waiting, and none was given up." in jobtrail.run("outbox").stdout
    assert jobtrail.run("outbox", "retry", "-h").returncode == 0

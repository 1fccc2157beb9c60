import asyncio
import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from tests.cli.support import JobTrail
from tests.cli.test_services import running
from tests.deadletters.acts import start_replay
from tests.deadletters.conftest import LetterBench, update_body
from tests.support import Names, eventually

ACTS = ("replay", "discard", "restore", "export")
COMMANDS = (*ACTS, "groups", "list", "show", "note", "replays", "cancel", "edit", "import", "capture")
MANY = 300

Letters = Callable[..., list[str]]


@pytest.fixture
def bench(settings: Settings) -> Iterator[LetterBench]:
    """A bench on the shared services."""
    bench = LetterBench(settings)
    yield bench
    bench.close()


@pytest.fixture
def letters(jobtrail: JobTrail, settings: Settings, tmp_path: Path) -> Letters:
    """Bring letters in, one per body, and return their ids."""

    def bring_in(*bodies: bytes, **changes: Any) -> list[str]:
        file = tmp_path / "letters.jsonl"
        lines = [json.dumps(line(settings, body) | changes) for body in bodies]
        file.write_text("\n".join(lines))
        known = set(ids(jobtrail))
        assert jobtrail.json("deadletters", "import", str(file)) == {"new": len(bodies), "known": 0}
        return sorted(set(ids(jobtrail)) - known)

    return bring_in


def line(settings: Settings, body: bytes, **changes: Any) -> dict[str, Any]:
    """A letter as it is exported; what was wrong with it is mended by now."""
    return {
        "format": "jobtrail.dead-letter/1",
        "key": f"test/{hash(body)}",
        "kind": "update",
        "queue": settings.dead_letter_queue,
        "origin": settings.reply_stream,
        "origin_seq": None,
        "origin_exchange": "",
        "origin_routing_key": settings.reply_stream,
        "reason": "unstorable",
        "error": f"document {len(body)} was refused",
        "extractor_id": "ncsa.test",
        "version": "2.0",
        "job_id": json.loads(body).get("job_id") if body.startswith(b"{") else None,
        "deaths": 1,
        "happened_at": "2026-11-22T00:14:36.000Z",
        "properties": {"delivery_mode": 2, "headers": {"x-trace": "abc"}},
        "body": body.decode(),
    }


def in_stream(bench: LetterBench) -> int:
    """How many messages the stream holds; the broker tells it a moment late."""
    return int(bench.channel.queue_declare(bench.settings.reply_stream, passive=True).method.message_count)


def ids(jobtrail: JobTrail, *options: str) -> list[str]:
    told = jobtrail.json("deadletters", "list", "--state", "any", "--limit", "1000", *options)
    return [letter["id"] for letter in told["letters"]]


def states(jobtrail: JobTrail) -> dict[str, str]:
    told = jobtrail.json("deadletters", "list", "--state", "any", "--limit", "1000")
    return {letter["id"]: letter["state"] for letter in told["letters"]}


def acts(jobtrail: JobTrail) -> list[str]:
    return [record["act"] for record in jobtrail.json("audit")["records"]]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(jobtrail: JobTrail, command: str) -> None:
    done = jobtrail.run("deadletters", command, "--help")

    assert done.returncode == 0
    assert f"jobtrail deadletters {command}" in done.stdout.partition("Example")[2]


def test_where_there_is_no_letter_it_is_said_what_to_do(jobtrail: JobTrail) -> None:
    assert jobtrail.json("deadletters", "groups") == {"groups": [], "next": None}
    assert jobtrail.json("deadletters", "list") == {"letters": [], "next": None}
    assert jobtrail.json("deadletters", "replays") == {"replays": [], "next": None}
    assert "jobtrail doctor" in jobtrail.run("deadletters", "groups").stdout
    assert "jobtrail doctor" in jobtrail.run("deadletters", "list").stdout
    assert "jobtrail deadletters groups" in jobtrail.run("deadletters", "replays").stdout


def test_letters_are_listed_by_cause_and_one_by_one(jobtrail: JobTrail, letters: Letters) -> None:
    letters(*(update_body(f"job-{n}") for n in range(12)))
    [other] = letters(b"not", reason="not_json", error="EOF while parsing", extractor_id="", version="")

    newest, oldest = jobtrail.json("deadletters", "groups")["groups"]
    assert (newest["cause"]["reason"], newest["unsettled"], newest["total"]) == ("not_json", 1, 1)
    assert (oldest["cause"]["error"], oldest["unsettled"], oldest["hours"][-1]) == ("document <n> was refused", 12, 12)
    for width in ("80", "200"):
        text = jobtrail.run("deadletters", "groups", COLUMNS=width).stdout
        assert all(words in text for words in (oldest["id"], "12 of 12", "unstorable: document <n> was refused", "·█"))
        assert all(len(shown) <= int(width) for shown in text.splitlines())

    assert ids(jobtrail, "--reason", "not_json") == [other]
    assert len(ids(jobtrail, "--group", oldest["id"])) == 12
    assert ids(jobtrail, "--job", "job-3", "--since", "1h", "--extractor", "ncsa.test") != []
    assert ids(jobtrail, "--until", "1h") == []
    page = jobtrail.json("deadletters", "list", "--limit", "10")
    rest = jobtrail.json("deadletters", "list", "--limit", "10", "--cursor", page["next"])
    assert (len(page["letters"]), len(rest["letters"]), rest["next"]) == (10, 3, None)
    for width in ("80", "200"):
        text = jobtrail.run("deadletters", "list", COLUMNS=width).stdout
        assert all(words in text for words in (other, "○ open", "EOF while parsing", "job-3"))
    assert jobtrail.run("deadletters", "list", "--state", "lost").returncode == 2


def test_a_group_remembers_what_mended_it(jobtrail: JobTrail, letters: Letters) -> None:
    letters(update_body("job"))
    [group] = jobtrail.json("deadletters", "groups")["groups"]

    noted = jobtrail.json("deadletters", "note", group["id"], "raised the limit")

    assert noted["fix"]["note"] == "raised the limit"
    assert noted["fix"]["who"].startswith("cli:")
    assert "last time: raised the limit" in jobtrail.run("deadletters", "groups").stdout
    assert jobtrail.json("deadletters", "note", group["id"], "")["fix"] is None
    assert jobtrail.run("deadletters", "note", "nobody", "x").returncode == 3
    assert acts(jobtrail)[:2] == ["letters.note", "letters.note"]


def test_a_letter_is_shown_with_its_bytes_their_meaning_and_what_is_said_today(
    jobtrail: JobTrail, letters: Letters
) -> None:
    [letter] = letters(update_body("job", percent=250, secretKey="hunter2"))

    told = jobtrail.json("deadletters", "show", letter)
    assert (told["judgement"]["verdict"], told["letter"]["id"]) == ("fails", letter)
    assert told["content"]["decoded"]["percent"] == 250
    for width in ("80", "200"):
        text = jobtrail.run("deadletters", "show", letter, COLUMNS=width).stdout
        for words in (
            "✖ still fails",
            "percent is not between 0 and 100",
            '"percent": 250',
            "header x-trace",
            "decoded",
        ):
            assert words in text
        assert "hunter2" not in text
    assert jobtrail.run("deadletters", "show", "no-such-letter").returncode == 3


@pytest.mark.parametrize("act", ACTS)
def test_choosing_no_letter_is_not_choosing_all(jobtrail: JobTrail, letters: Letters, act: str) -> None:
    [letter] = letters(update_body("job"))
    why = ("--reason", "tests") if act == "discard" else ()

    for wrong in ((), (letter, "--all"), ("--all", "--since", "1d")):
        done = jobtrail.run("deadletters", act, *wrong, *why, "--json")
        assert (done.returncode, json.loads(done.stderr)["error"]["code"]) == (2, "wrong_use")
    assert jobtrail.run("deadletters", act, "6747605e8f1b2a0012345678", *why).returncode == 3
    assert states(jobtrail) == {letter: "open"}


def test_a_dry_run_tells_what_a_replay_would_come_to_and_sends_nothing(
    jobtrail: JobTrail, letters: Letters, bench: LetterBench, settings: Settings
) -> None:
    letters(update_body("a"), update_body("b"), update_body("c", percent=250), update_body("d", start="noon"))

    told = jobtrail.json("deadletters", "replay", "--all", "--dry-run")
    text = jobtrail.run("deadletters", "replay", "--all", "--dry-run", COLUMNS="80").stdout

    assert (told["total"], told["applies"], told["fails"]) == (4, 2, 2)
    assert told["targets"] == [{"queue": settings.reply_stream, "count": 4}]
    for words in (
        "would apply 2, still fail 2",
        "its job becomes PROCESSING",
        "bad_time: start is not a valid timestamp: 'noon'",
    ):
        assert words in text
    assert set(states(jobtrail).values()) == {"open"}
    bench.publish(b"the first one")
    eventually(lambda: in_stream(bench) == 1)


def test_replayed_letters_are_in_their_jobs_timelines_and_on_the_receipt(
    jobtrail: JobTrail, letters: Letters, tmp_path: Path
) -> None:
    known = letters(*(update_body("job", f"step {n}") for n in range(20)))
    with running(jobtrail, "consume", tmp_path / "consumer.log"):
        done = jobtrail.run("deadletters", "replay", "--reason", "unstorable")

    assert done.returncode == 0, done.stderr
    assert "20 of 20 dead letters sent" in done.stdout
    assert "✔ resolved" in done.stdout
    [replay] = jobtrail.json("deadletters", "replays")["replays"]
    assert (replay["state"], replay["sent"], replay["counts"]["resolved"]) == ("done", 20, 20)
    events = jobtrail.json("timeline", "job")["events"]
    assert {event["replay_id"] for event in events} == {replay["id"]}
    assert {event["letter_id"] for event in events} == set(known)
    assert f"↳ replayed by {replay['id']}" in jobtrail.run("timeline", "job", COLUMNS="80").stdout
    shown = jobtrail.json("deadletters", "replays", replay["id"])
    assert shown == replay
    [sending] = jobtrail.json("deadletters", "show", known[0])["letter"]["sendings"]
    assert (sending["replay_id"], sending["outcome"]) == (replay["id"], "resolved")
    assert jobtrail.run("deadletters", "replay", "--all").returncode == 3
    assert jobtrail.run("deadletters", "cancel", replay["id"]).returncode == 1
    assert jobtrail.run("deadletters", "replays", "nobody").returncode == 3
    assert "letters.replay" in acts(jobtrail)


def test_a_staged_replay_halts_after_the_letter_that_fails_again(
    jobtrail: JobTrail, letters: Letters, tmp_path: Path
) -> None:
    letters(*(update_body(f"job-{n}", start="noon") for n in range(30)))
    with (
        running(jobtrail, "consume", tmp_path / "consumer.log"),
        running(jobtrail, "deadletters capture", tmp_path / "letters.log"),
    ):
        done = jobtrail.run("deadletters", "replay", "--all")

    assert done.returncode == 1
    assert "halted: 1 of 30 dead letters sent" in done.stdout
    assert "start is not a valid timestamp: 'noon'" in done.stdout
    kept = list(states(jobtrail).values())
    assert (kept.count("failed_again"), kept.count("open")) == (1, 30)


def test_ctrl_c_stops_a_replay_after_the_batch_in_hand(
    jobtrail: JobTrail, letters: Letters, bench: LetterBench, settings: Settings
) -> None:
    letters(*(update_body(f"job-{n}") for n in range(MANY)))
    assert bench.channel  # the reply queue is there, and nobody reads it
    command = jobtrail.command("deadletters", "replay", "--all", "--rate", "20", "--at-once", "--json")
    process = subprocess.Popen(command, env=jobtrail.environ(), stdout=subprocess.PIPE, text=True)

    def something_is_sent() -> bool:
        replays = jobtrail.json("deadletters", "replays")["replays"]
        return bool(replays and replays[0]["sent"])

    eventually(something_is_sent)
    process.send_signal(signal.SIGINT)
    told = json.loads(process.communicate(timeout=60)[0])

    assert (process.returncode, told["state"]) == (130, "cancelled")
    assert 0 < told["sent"] < MANY
    kept = list(states(jobtrail).values())
    assert (kept.count("replayed"), kept.count("open")) == (told["sent"], MANY - told["sent"])
    eventually(lambda: in_stream(bench) == told["sent"])


def test_letters_in_somebody_elses_hands_are_refused_until_that_replay_is_cancelled(
    jobtrail: JobTrail, letters: Letters, settings: Settings
) -> None:
    [letter] = letters(update_body("job"))

    async def ask() -> str:
        async with Database(settings.require_mongo_url(), settings.database) as database:
            return (await start_replay(database, LetterFilter(ids=[letter]), who="alice", origin="10.0.0.7")).id

    theirs = asyncio.run(ask())
    for command in (("replay", "--all"), ("discard", letter, "--reason", "tests")):
        refused = jobtrail.run("deadletters", *command)
        assert refused.returncode == 1
        assert f"held by replay {theirs}, which alice requested" in refused.stderr
        [record, *_] = jobtrail.json("audit", "--act", f"letters.{command[0]}")["records"]
        assert (record["outcome"], theirs in record["details"]["why"]) == ("refused", True)
    assert "jobtrail deadletters cancel" in jobtrail.run("deadletters", "replays", theirs).stdout

    assert jobtrail.json("deadletters", "cancel", theirs)["state"] == "cancelled"
    assert jobtrail.json("deadletters", "discard", letter, "--reason", "tests") == {"discarded": 1}
    assert "replay.cancel" in acts(jobtrail)


def test_a_field_and_a_header_are_edited_and_the_letter_keeps_its_bytes(jobtrail: JobTrail, letters: Letters) -> None:
    [letter] = letters(update_body("job", percent=250, note="x"))

    done = jobtrail.run(
        *("deadletters", "edit", letter, "--set", "percent:=50", "--unset", "note", "--header", "x-why=mended")
    )

    assert done.returncode == 0, done.stderr
    assert '-  "percent": 250' in done.stdout
    assert "+header x-why: mended" in done.stdout
    told = jobtrail.json("deadletters", "show", letter)
    assert (told["content"]["decoded"]["percent"], told["edited"]["decoded"]["percent"]) == (250, 50)
    assert (told["judgement"]["verdict"], "note" in told["edited"]["decoded"]) == ("applies", False)
    assert "Edited by cli:" in jobtrail.run("deadletters", "show", letter).stdout
    assert jobtrail.json("deadletters", "edit", letter, "--revert")["edited"] is None
    for wrong in (("--set", "percent"), ("--set", "percent:=x"), ("--revert", "--set", "a=b")):
        assert jobtrail.run("deadletters", "edit", letter, *wrong).returncode == 2
    assert acts(jobtrail)[:2] == ["letters.edit", "letters.edit"]


def test_a_body_is_edited_in_the_editor_without_its_secrets(
    jobtrail: JobTrail, letters: Letters, bench: LetterBench, tmp_path: Path
) -> None:
    [letter] = letters(update_body("job", percent=250, secretKey="hunter2"))
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/seen\nsed -i \'s/250/50/\' "$1"\n')
    editor.chmod(0o755)

    assert jobtrail.run("deadletters", "edit", letter, VISUAL=str(editor)).returncode == 0

    assert "hunter2" not in (tmp_path / "seen").read_text()
    [stored] = bench.letters()
    assert json.loads(stored["edit"]["body"]) == json.loads(update_body("job", percent=50, secretKey="hunter2"))
    unchanged = jobtrail.run("deadletters", "edit", letter, VISUAL="true")
    assert (unchanged.returncode, unchanged.stderr) == (0, "Nothing was changed.\n")
    assert jobtrail.run("deadletters", "edit", letter, VISUAL="false").returncode == 2
    assert jobtrail.run("deadletters", "edit", letter, VISUAL="no-such-editor").returncode == 2


def test_discarded_letters_keep_the_reason_and_can_be_restored(jobtrail: JobTrail, letters: Letters) -> None:
    known = letters(*(update_body(f"job-{n}") for n in range(3)))

    assert jobtrail.run("deadletters", "discard", "--all").returncode == 2
    assert jobtrail.run("deadletters", "discard", "--all", "--reason", " ").returncode == 2
    mixed_up = jobtrail.run("deadletters", "discard", "--reason", "unstorable", "--since", "1d")
    assert (mixed_up.returncode, "--with-reason unstorable" in mixed_up.stderr) == (2, True)
    told = jobtrail.json("deadletters", "discard", "--with-reason", "unstorable", "--reason", "only tests")

    assert told == {"discarded": 3}
    assert jobtrail.json("deadletters", "groups")["groups"] == []
    shown = jobtrail.run("deadletters", "show", known[0]).stdout
    assert "⊘ discarded" in shown
    assert "only tests" in shown
    assert f"jobtrail deadletters restore {known[0]}" in shown
    assert jobtrail.json("deadletters", "restore", known[0]) == {"restored": 1}
    assert states(jobtrail) == {known[0]: "open", known[1]: "discarded", known[2]: "discarded"}
    restored, discarded, *_ = jobtrail.json("audit")["records"]
    assert (restored["act"], restored["target"], restored["details"]["count"]) == ("letters.restore", known[0], "1")
    assert (discarded["act"], discarded["target"]) == ("letters.discard", "")
    assert discarded["details"]["letters"].startswith("reason unstorable, captured until ")
    assert discarded["details"] | {"letters": ""} == {
        "version": "1",
        "letters": "",
        "reason": "only tests",
        "count": "3",
    }


def test_more_than_one_letter_is_asked_about_on_a_terminal(jobtrail: JobTrail, letters: Letters) -> None:
    letters(update_body("a"), update_body("b"))

    def answered(answer: str, *options: str) -> int:
        terminal, end = os.openpty()
        process = subprocess.Popen(
            jobtrail.command("deadletters", "discard", "--all", "--reason", "tests", *options),
            env=jobtrail.environ(),
            stdin=end,
            stdout=subprocess.DEVNULL,
            stderr=end,
        )
        os.close(end)
        os.write(terminal, f"{answer}\n".encode())
        code = process.wait(60)
        os.close(terminal)
        return code

    assert answered("n") == 1
    assert set(states(jobtrail).values()) == {"open"}
    assert answered("y") == 0
    assert set(states(jobtrail).values()) == {"discarded"}
    assert jobtrail.json("deadletters", "restore", "--all") == {"restored": 2}
    assert answered("n", "--yes") == 0


def test_an_export_is_for_its_owner_alone_and_its_letters_are_recognised(
    jobtrail: JobTrail, bench: LetterBench, settings: Settings, tmp_path: Path
) -> None:
    queue = settings.dead_letter_queue
    with running(jobtrail, "deadletters capture", tmp_path / "letters.log"):
        for body in (b"\xff\x00 no text", b'{"secretKey": "hunter2"}'):
            # Nothing but its id tells such a letter from others: its sender gave it none.
            bench.channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
        eventually(lambda: len(ids(jobtrail)) == 2)
    file = tmp_path / "out.jsonl"

    assert jobtrail.json("deadletters", "export", "--all", "-o", str(file)) == {"exported": 2}

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = (json.loads(text) for text in file.read_text().splitlines())
    assert ("body_base64" in first, second["body"]) == (True, '{"secretKey": "hunter2"}')
    assert jobtrail.run("deadletters", "export", second["id"]).stdout == f"{file.read_text().splitlines()[1]}\n"
    assert jobtrail.json("deadletters", "import", str(file)) == {"new": 0, "known": 2}
    elsewhere = f"{settings.database}_console"
    there = jobtrail.run("deadletters", "import", str(file), "--json", JOBTRAIL_DATABASE=elsewhere)
    assert json.loads(there.stdout) == {"new": 2, "known": 0}
    again = jobtrail.run("deadletters", "import", str(file), "--json", JOBTRAIL_DATABASE=elsewhere)
    assert json.loads(again.stdout) == {"new": 0, "known": 2}
    assert {"letters.export", "letters.import"} <= set(acts(jobtrail))


def test_a_file_with_one_wrong_line_brings_nothing_in(jobtrail: JobTrail, settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "letters.jsonl"
    file.write_text(f"{json.dumps(line(settings, update_body('job')))}\n\n{{}}\n")

    done = jobtrail.run("deadletters", "import", str(file))

    assert (done.returncode, "line 3 is not an exported dead letter" in done.stderr) == (2, True)
    assert ids(jobtrail) == []
    assert jobtrail.run("deadletters", "import", str(tmp_path / "none")).returncode == 2
    assert jobtrail.run("deadletters", "export", "--all", "-o", str(tmp_path / "no" / "file")).returncode == 3


def test_queues_are_only_emptied_where_they_are_named(
    jobtrail: JobTrail, bench: LetterBench, names: Names, tmp_path: Path
) -> None:
    named, other = names.queue("named"), names.queue("other")
    for queue in (named, other):
        bench.channel.queue_declare(queue, durable=True)
        bench.channel.basic_publish("", queue, b"a letter", pika.BasicProperties(delivery_mode=2))

    with running(jobtrail, f"deadletters capture --queue {named}", tmp_path / "letters.log") as process:
        eventually(lambda: len(ids(jobtrail, "--queue", named)) == 1)

    assert process.returncode == 0
    assert ids(jobtrail, "--queue", other) == []
    assert bench.channel.queue_declare(other, passive=True).method.message_count == 1

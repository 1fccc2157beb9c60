import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from tests.cli.support import JobTrail
from tests.reconciler.bench import Bench

COMMANDS = ("pending", "stuck", "changes", "failures", "errors", "diff", "show", "add", "seed")
ROW = {
    "history_id", "dataset_id", "status", "group", "training_schedule", "created_at", "updated_at", "minutes_stuck",
    "progress", "error_message", "answers", "ruling", "flaw",
}  # fmt: skip


@pytest.fixture
def bench(mongo_client: MongoClient[dict[str, Any]], settings: Settings) -> Bench:
    return Bench(mongo_client, settings)


def ago(**parts: float) -> datetime:
    return datetime.now(UTC) - timedelta(**parts)


def fill(bench: Bench) -> None:
    """One dataset that ended in dispute, one that is stuck, one that failed, and one broken record."""
    group = bench.group("Winter shoes", training_schedule="weekly")
    ruling = {"source": "api", "reason": "the API says Complete", "at": ago(minutes=4)}
    answers = {
        "api": {"status": "Complete", "at": ago(minutes=4), "since": ago(minutes=4)},
        "events": {"status": "Analyzing", "at": ago(minutes=4), "since": ago(minutes=50)},
    }
    bench.dataset("ds-ended", group, status="Complete", answers=answers, ruling=ruling, updated_at=ago(minutes=4))
    problem = {
        "problem": "api_timeout",
        "detail": "no answer within 10 s",
        "at": ago(minutes=1),
        "since": ago(minutes=9),
    }
    bench.dataset("ds-stuck", group, status="Analyzing", updated_at=ago(minutes=150), answers={"api": problem})
    bench.dataset("ds-failed", group, status="Failed", error_message="no images\x1b[31m")
    bench.dataset("ds-broken", group, answers={"oracle": {}})
    entry = {
        "wishlist_dataset_history_id": bench.history("ds-ended")["_id"],
        "wishlist_to_group_id": group,
        "created_at": ago(minutes=40),
    }
    ours = {"dataset_id": "ds-ended", "from": "Analyzing", "to": "Complete", "source": "api", "message": "it says so"}
    bench.logs.insert_many(
        [
            {**entry, **ours, "event_type": "Status Update", "run_id": "run-1"},
            {**entry, "event_type": "Failure", "message": "the status could not be updated"},
        ]
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_with_an_example(jobtrail: JobTrail, command: str) -> None:
    done = jobtrail.run("datasets", command, "-h")

    assert done.returncode == 0
    assert f"jobtrail datasets {command}" in done.stdout.partition("Example")[2]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("pending", "jobtrail datasets add"),
        ("stuck", "No dataset is stuck"),
        ("changes", "--since 1w"),
        ("failures", "--since 1w"),
        ("errors", "--since 1w"),
        ("diff", "agree"),
    ],
)
def test_lists_say_what_to_do_where_there_is_nothing(jobtrail: JobTrail, command: str, words: str) -> None:
    done = jobtrail.run("datasets", command)

    assert (done.returncode, done.stderr) == (0, "")
    assert words in done.stdout
    told = jobtrail.json("datasets", command)
    assert told == {"entries" if command in ("changes", "failures") else "datasets": [], "next": None}


@pytest.mark.parametrize(
    ("command", "ids"),
    [
        ("pending", ["ds-stuck", "ds-broken"]),
        ("stuck", ["ds-stuck"]),
        ("stuck --older-than 3h", []),
        ("stuck --older-than 30m", ["ds-stuck", "ds-broken"]),
        ("errors", ["ds-failed"]),
        ("errors --since 10m", []),
        ("diff", ["ds-ended"]),
    ],
)
def test_every_list_answers_its_question(jobtrail: JobTrail, bench: Bench, command: str, ids: list[str]) -> None:
    fill(bench)

    rows = jobtrail.json("datasets", *command.split())["datasets"]

    assert [row["dataset_id"] for row in rows] == ids
    assert all(row.keys() == ROW for row in rows)
    for row in rows:
        if row["dataset_id"] == "ds-stuck":
            assert (row["group"], row["training_schedule"], row["flaw"]) == ("Winter shoes", "weekly", None)
            assert row["minutes_stuck"] // 10 == 15
            assert (row["answers"]["api"]["problem"], row["answers"]["events"]) == ("api_timeout", None)


def test_less_than_a_minute_without_news_is_told_in_seconds(jobtrail: JobTrail, bench: Bench) -> None:
    bench.dataset("ds-1", updated_at=ago(minutes=0.5))

    shown = jobtrail.run("datasets", "stuck", "--older-than", "20s").stdout

    assert re.search(r"ds-1 .* [3-5]\d s", shown), shown


def test_the_creation_log_is_told_whoever_wrote_it(jobtrail: JobTrail, bench: Bench) -> None:
    fill(bench)

    [change] = jobtrail.json("datasets", "changes")["entries"]
    [failure] = jobtrail.json("datasets", "failures")["entries"]

    told = {"dataset_id": "ds-ended", "group": "Winter shoes", "from": "Analyzing", "to": "Complete", "source": "api"}
    assert told.items() <= change.items()
    told = {"dataset_id": "ds-ended", "from": None, "message": "the status could not be updated"}
    assert told.items() <= failure.items()
    assert jobtrail.json("datasets", "changes", "--since", "10m")["entries"] == []


@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "pending",
            ("● Analyzing", "ds-stuck", "Winter shoes", "weekly", "2 h ago", "not watched, the history is not valid"),
        ),
        ("stuck", ("2 h 3", "api_timeout: no answer within 10 s")),
        ("changes", ("Analyzing → ✔ Complete", "ds-ended", "min ago", "it says so")),
        ("failures", ("the status could not be updated",)),
        ("errors", ("✖ Failed", "ds-failed", "no images")),
        ("diff", ("✔ Complete", "Analyzing", "api: the API says Complete")),
    ],
)
def test_people_see_what_matters_at_any_width(
    jobtrail: JobTrail, bench: Bench, columns: str, command: str, words: tuple[str, ...]
) -> None:
    fill(bench)

    shown = jobtrail.run("datasets", command, COLUMNS=columns).stdout

    assert all(len(line) <= int(columns) for line in shown.splitlines()), shown
    assert "\x1b" not in shown
    assert [word for word in words if word not in shown] == []


def test_long_lists_come_in_pages(jobtrail: JobTrail, bench: Bench) -> None:
    bench.datasets(25)

    first = jobtrail.run("datasets", "pending").stdout
    cursor = first.partition("--cursor ")[2].strip()
    rest = jobtrail.json("datasets", "pending", "--cursor", cursor)

    assert [row["dataset_id"] for row in rest["datasets"]] == [f"d-{number}" for number in range(20, 25)]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("pending --cursor nonsense", "invalid cursor"),
        ("stuck --older-than long", "--older-than: "),
        ("changes --since long", "--since: "),
        ("errors --limit 0", "--limit"),
    ],
)
def test_wrong_options_end_with_2(jobtrail: JobTrail, wrong: str, words: str) -> None:
    done = jobtrail.run("datasets", *wrong.split())

    assert (done.returncode, words in done.stderr) == (2, True)


def test_a_datasets_story_is_told_from_its_beginning(jobtrail: JobTrail, bench: Bench) -> None:
    fill(bench)

    told = jobtrail.json("datasets", "show", "ds-ended")
    text = jobtrail.run("datasets", "show", "ds-ended", COLUMNS="80").stdout

    assert told.keys() == ROW | {"status_since", "story", "cut"}
    assert (told["status"], told["ruling"]["source"], told["cut"]) == ("Complete", "api", [])
    assert [moment["kind"] for moment in told["story"]] == ["asked", "log", "log"]
    assert {"at", "kind", "state", "subject", "message", "event_type", "from", "run_id"} == told["story"][1].keys()
    assert all(len(line) <= 80 for line in text.splitlines())
    for words in ("Winter shoes, training weekly", "api: the API says Complete", "api says", "events say", "Failure"):
        assert words in text
    broken = jobtrail.run("datasets", "show", "ds-broken")
    assert (broken.returncode, "not watched" in broken.stdout) == (0, True)


def test_a_dataset_that_is_not_there_ends_with_3_and_an_id_that_is_none_with_2(jobtrail: JobTrail) -> None:
    missing = jobtrail.run("datasets", "show", "ds-9", "--json")
    assert (missing.returncode, json.loads(missing.stderr)["error"]["code"]) == (3, "not_found")
    assert jobtrail.run("datasets", "show", "../etc").returncode == 2
    wrong = jobtrail.run("datasets", "add", "../etc", "--group", "g")
    assert (wrong.returncode, wrong.stderr.startswith("jobtrail: error: '../etc' is not a dataset id")) == (2, True)


def test_datasets_can_be_made_from_options_and_from_a_file(jobtrail: JobTrail, bench: Bench, tmp_path: Path) -> None:
    options = ("--schedule", "manual", "--user", "ada=ada@example.org", "--user", "bob", "--viewpoint", "front")

    made = jobtrail.json("datasets", "add", "ds-1", "--group", "Boots", *options, "--extractor", "ocr")

    nothing = {"made": 0, "known": 0}
    one = {"made": 1, "known": 0}
    assert made == {"groups": one, "datasets": one, "crawler_schedules": nothing}
    [group] = bench.groups.find()
    assert group["users"] == [{"id": "ada", "email": "ada@example.org"}, {"id": "bob", "email": None}]
    assert (group["training_schedule"], group["viewpoints"], group["required_extractors"]) == (
        *("manual", ["front"], ["ocr"]),
    )
    file = tmp_path / "seed.json"
    file.write_text(json.dumps({"datasets": [{"dataset_id": f"ds-{n}", "group": "Boots"} for n in (1, 2, 3)]}))
    told = jobtrail.run("datasets", "seed", str(file)).stdout
    assert "✔ 2 datasets added, 1 already there" in told
    assert bench.statuses() == {"ds-1": "Pending", "ds-2": "Pending", "ds-3": "Pending"}
    file.write_text("{}")
    assert "Nothing to add" in jobtrail.run("datasets", "seed", str(file)).stdout


def test_a_file_with_one_bad_record_makes_nothing_and_says_which(
    jobtrail: JobTrail, bench: Bench, tmp_path: Path
) -> None:
    file = tmp_path / "seed.json"
    datasets = [{"dataset_id": "ds-1", "group": "Boots"}, {"dataset_id": "no id", "group": "Boots"}]
    file.write_text(json.dumps({"groups": [{"name": "Boots"}], "datasets": datasets}))

    done = jobtrail.run("datasets", "seed", str(file))

    assert (done.returncode, done.stdout) == (2, "")
    assert "datasets[1].dataset_id: 'no id' is not a dataset id" in done.stderr
    assert (bench.statuses(), bench.groups.count_documents({})) == ({}, 0)
    assert jobtrail.run("datasets", "seed", str(tmp_path / "nowhere.json")).returncode == 2

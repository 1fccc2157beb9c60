import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika
import pytest

from jobtrail.models.settings import Settings
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from jobtrail.stack.private_stack import PrivateStack
from tests.cli.support import JobTrail, update
from tests.support import Names, eventually, eventually_holds


@contextmanager
def running(jobtrail: JobTrail, command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A service that is at work."""
    with log.open("wb") as file:
        process = subprocess.Popen(jobtrail.command(*command.split()), env=jobtrail.environ(), stderr=file)
    ready = {
        "consume": "consumer.reading",
        "monitor": "monitor.receiving",
        "dataset:get-status --watch": "reconciler.sources",
        "web": "web.serving",
        "deadletters capture": "dead_letters.capturing",
    }[command.partition(" --queue")[0]]
    try:
        eventually(lambda: ready in log.read_text())
        yield process
    finally:
        process.terminate()
        process.wait(30)


def publish(amqp_url: str, queue: str, *updates: dict[str, object], exchange: str = "") -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        channel = connection.channel()
        for body in updates:
            channel.basic_publish(exchange, queue, json.dumps(body).encode(), pika.BasicProperties(delivery_mode=2))


def stored_extractor(jobtrail: JobTrail) -> dict[str, Any]:
    """The only extractor, once its instance is stored too: that comes after it."""

    def with_instance() -> dict[str, Any]:
        extractors = jobtrail.json("extractors")["extractors"]
        assert [bool(extractor["instances"]) for extractor in extractors] == [True]
        return extractors[0]

    return eventually(with_instance)


def outcomes(told: dict[str, object]) -> dict[str, str]:
    checks = told["checks"]
    assert isinstance(checks, list)
    return {check["name"]: check["outcome"] for check in checks}


def test_the_consumer_stores_until_sigterm_and_logs_json_without_secrets(
    jobtrail: JobTrail, settings: Settings, amqp_url: str, tmp_path: Path
) -> None:
    log = tmp_path / "consumer.log"
    with running(jobtrail, "consume", log) as process:
        publish(amqp_url, settings.reply_stream, update("job", "STARTED: go"), update("job", "SUCCEEDED: fine", 5))
        eventually(lambda: [job["status"] for job in jobtrail.json("jobs")["jobs"]] == ["SUCCEEDED"])

    assert process.returncode == 0
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert records[0]["action"] == "consumer.starting"
    assert {"consumer.pages", "consumer.reading", "consumer.stopping"} <= {record["action"] for record in records}
    assert all({"event", "level", "time"} <= record.keys() for record in records)
    secret = pika.URLParameters(amqp_url).credentials.password
    assert secret not in log.read_text()


def test_the_monitor_shows_extractors_and_their_instances(
    jobtrail: JobTrail, settings: Settings, amqp_url: str, tmp_path: Path, names: Names
) -> None:
    assert jobtrail.json("extractors") == {"extractors": []}
    name = names.extractor("wordcount")
    beat = {"id": "instance-1", "queue": "q", "owner": None, "extractor_info": {"name": name, "version": "2.0"}}
    with running(jobtrail, "monitor", tmp_path / "monitor.log") as process:
        publish(amqp_url, "", {**beat, "jobs": ["a"], "host": "worker", "pid": 7}, exchange=HEARTBEAT_EXCHANGE)
        extractor = stored_extractor(jobtrail)

    assert process.returncode == 0
    assert (extractor["name"], extractor["version"], extractor["online"]) == (name, "2.0", True)
    [instance] = extractor["instances"]
    assert (instance["id"], instance["online"], instance["queue"]) == ("instance-1", True, "q")
    assert (instance["host"], instance["pid"], instance["jobs"]) == ("worker", 7, ["a"])
    assert "sent a heartbeat" in instance["evidence"]
    assert name in jobtrail.run("extractors").stdout


def test_a_submitted_job_can_be_cancelled_until_it_has_ended(
    jobtrail: JobTrail, settings: Settings, amqp_url: str, tmp_path: Path, names: Names
) -> None:
    queue = names.queue("worker")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(queue, durable=True)
    with running(jobtrail, "consume", tmp_path / "consumer.log"):
        options = ("--user", "alice", "--parameters", '{"language": "en"}')
        made = jobtrail.json("submit", queue, "resource-1", *options)
        job_id = made["job_id"]
        assert (made["queue"], made["resource_id"]) == (queue, "resource-1")
        job = eventually(lambda: jobtrail.json("jobs")["jobs"])[0]
        assert (job["job_id"], job["status"], job["user_id"]) == (job_id, "SUBMITTED", "alice")

        assert jobtrail.json("cancel", job_id)["status"] == "CANCELLED"

        eventually(lambda: jobtrail.json("timeline", job_id)["status"] == "CANCELLED")
        again = jobtrail.run("cancel", job_id, "--json")
        assert again.returncode == 1
        assert "has ended already" in json.loads(again.stderr)["error"]["message"]
        assert jobtrail.run("cancel", "never-submitted", "--queue", queue).returncode == 1
        assert jobtrail.run("submit", "no-such-queue", "r").returncode == 3
        assert jobtrail.run("submit", queue, "r", "--parameters", "[]").returncode == 2
        assert jobtrail.run("submit", queue, " ").returncode == 2
        assert jobtrail.run("submit", queue, "r", "--job-id", "mine").stdout == "mine\n"


def test_a_job_waits_in_the_queue_of_its_extractors_latest_instance(
    jobtrail: JobTrail, settings: Settings, amqp_url: str, tmp_path: Path, names: Names
) -> None:
    queue, extractor = names.queue("worker"), names.extractor("wordcount")
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(queue, durable=True)
    beat = {"id": "instance-1", "queue": queue, "extractor_info": {"name": extractor, "version": "2.0"}}
    with (
        running(jobtrail, "monitor", tmp_path / "monitor.log"),
        running(jobtrail, "consume", tmp_path / "consumer.log"),
    ):
        publish(amqp_url, "", beat, exchange=HEARTBEAT_EXCHANGE)
        job_id = jobtrail.json("submit", queue, "r", "--extractor", extractor)["job_id"]
        stored_extractor(jobtrail)
        eventually(lambda: jobtrail.json("jobs")["jobs"])

        assert jobtrail.json("cancel", job_id)["queue"] == queue


def test_doctor_finds_nothing_wrong_where_all_is_well(jobtrail: JobTrail, tmp_path: Path) -> None:
    with (
        running(jobtrail, "monitor", tmp_path / "monitor.log"),
        running(jobtrail, "consume", tmp_path / "consumer.log") as consumer,
        running(jobtrail, "dataset:get-status --watch", tmp_path / "reconciler.log"),
        running(jobtrail, "deadletters capture", tmp_path / "deadletters.log"),
        running(jobtrail, "web", tmp_path / "web.log"),
    ):
        ports = {}
        for name, action, field, port in (
            ("consumer", "consumer.pages", "health", "CONSUMER_HEALTH_PORT"),
            ("monitor", "monitor.pages", "health", "MONITOR_HEALTH_PORT"),
            ("reconciler", "reconciler.pages", "health", "RECONCILER_HEALTH_PORT"),
            ("deadletters", "dead_letters.pages", "health", "DEAD_LETTERS_HEALTH_PORT"),
            ("web", "web.serving", "url", "WEB_PORT"),
        ):
            records = [json.loads(line) for line in (tmp_path / f"{name}.log").read_text().splitlines()]
            page = next(record[field] for record in records if record["action"] == action)
            ports[f"JOBTRAIL_{port}"] = page.split(":")[2].split("/")[0]

        def all_is_well() -> None:
            done = jobtrail.run("doctor", "--json", **ports)
            told = json.loads(done.stdout)
            assert (done.returncode, told["ok"]) == (0, True)
            assert {name: outcome for name, outcome in outcomes(told).items() if outcome != "ok"} == {}

        eventually_holds(all_is_well)  # the reconciler makes its indexes after its pages
        assert consumer.poll() is None
    told = jobtrail.json("doctor")
    assert outcomes(told)["heartbeat queue"] == "warning"
    assert "start: jobtrail monitor" in next(c["advice"] for c in told["checks"] if c["name"] == "heartbeat queue")
    assert "→ heartbeats are not stored" in jobtrail.run("doctor").stdout


def test_doctor_changes_nothing(jobtrail: JobTrail, settings: Settings, amqp_url: str, mongo_client: object) -> None:
    told = jobtrail.json("doctor")

    assert outcomes(told)["stream"] == "warning"
    assert outcomes(told)["indexes"] == "warning"
    assert outcomes(told)["database"] == "ok"
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for queue in (settings.reply_stream, settings.dead_letter_queue, settings.heartbeat_queue):
            with pytest.raises(pika.exceptions.ChannelClosedByBroker, match="NOT_FOUND"):
                connection.channel().queue_declare(queue, passive=True)
    assert settings.database not in mongo_client.list_database_names()  # type: ignore[attr-defined]


def test_doctor_tells_a_queue_with_other_arguments(jobtrail: JobTrail, settings: Settings, amqp_url: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(settings.dead_letter_queue, durable=True)

    done = jobtrail.run("doctor", "--json")

    assert done.returncode == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["dead-letter queue"]["outcome"] == "failed"
    assert "x-queue-type is" in checks["dead-letter queue"]["found"]
    assert "delete it" in checks["dead-letter queue"]["advice"]
    assert checks["stream"]["outcome"] == "warning"


def test_doctor_ends_with_4_where_a_service_is_away_and_with_2_where_a_setting_is_wrong(
    jobtrail: JobTrail, amqp_url: str
) -> None:
    away = jobtrail.run("doctor", "--json", JOBTRAIL_AMQP_URL="amqp://user:hunter2@127.0.0.1:9/")
    refused = jobtrail.run("doctor", "--json", JOBTRAIL_AMQP_URL=amqp_url.replace("://", "://not-"))
    unset = jobtrail.run("doctor", "--json", JOBTRAIL_MONGO_URL=None)
    wrong = jobtrail.run("doctor", JOBTRAIL_BATCH_MAX_COUNT="many")

    assert (away.returncode, outcomes(json.loads(away.stdout))["broker"]) == (4, "failed")
    assert "hunter2" not in away.stdout
    assert refused.returncode == 4
    assert "refused the user or the password" in refused.stdout
    assert (unset.returncode, outcomes(json.loads(unset.stdout))["JOBTRAIL_MONGO_URL"]) == (2, "failed")
    assert (wrong.returncode, "JOBTRAIL_BATCH_MAX_COUNT" in wrong.stdout) == (2, True)


def test_every_command_finds_the_running_private_stack_by_itself(
    own_stack: PrivateStack, jobtrail: JobTrail, tmp_path: Path
) -> None:
    here = {
        "JOBTRAIL_AMQP_URL": None,
        "JOBTRAIL_MONGO_URL": None,
        "JOBTRAIL_DATA_DIR": str(own_stack.data_dir),
    }
    urls = own_stack.urls

    exports = jobtrail.run("env", **here).stdout.splitlines()

    assert [shlex.split(line) for line in exports] == [
        ["export", f"JOBTRAIL_AMQP_URL={urls.amqp_url}"],
        ["export", f"JOBTRAIL_MONGO_URL={urls.mongo_url}"],
    ]
    assert json.loads(jobtrail.run("env", "--json", **here).stdout) == {
        "JOBTRAIL_AMQP_URL": urls.amqp_url,
        "JOBTRAIL_MONGO_URL": urls.mongo_url,
    }
    assert jobtrail.run("jobs", **here).returncode == 0
    told = json.loads(jobtrail.run("doctor", "--json", **here).stdout)
    assert outcomes(told)["private stack"] == "ok"
    # The environment goes before the private stack.
    other = {**here, "JOBTRAIL_MONGO_URL": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"}
    assert jobtrail.run("jobs", **other).returncode == 4

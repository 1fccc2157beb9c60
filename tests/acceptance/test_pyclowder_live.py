"""The real pyClowder as a worker, the real consumer as a process: what pyClowder says is what JobTrail stores."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pika
import pytest
from pymongo import MongoClient

from jobtrail.models.settings import Settings
from jobtrail.models.topology import error_queue
from jobtrail.publisher.submission import submit
from jobtrail.stack.demo import wordcount
from tests.conftest import Document
from tests.support import Names, eventually


def queue_depth(amqp_url: str, queue: str) -> int | None:
    """How many messages wait; None while there is no such queue."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        try:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)
        except pika.exceptions.ChannelClosedByBroker:
            return None


@contextmanager
def running(command: list[str], environment: dict[str, str], folder: Path, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, cwd=folder, stdout=output, stderr=output)
    try:
        yield
        assert process.poll() is None, log.read_text()
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def extractor(settings: Settings, names: Names, tmp_path: Path) -> Iterator[str]:
    """A word count of this test's own, and a consumer of what it says; both are at work."""
    name = names.extractor("wordcount")
    consumer = {
        "JOBTRAIL_AMQP_URL": settings.require_amqp_url(),
        "JOBTRAIL_MONGO_URL": settings.require_mongo_url(),
        "JOBTRAIL_DATABASE": settings.database,
        "JOBTRAIL_REPLY_STREAM": settings.reply_stream,
        "JOBTRAIL_DEAD_LETTER_QUEUE": settings.dead_letter_queue,
        "JOBTRAIL_HEARTBEAT_QUEUE": settings.heartbeat_queue,
        "JOBTRAIL_CONSUMER_HEALTH_PORT": "0",
    }
    worker = {"RABBITMQ_URI": settings.require_amqp_url(), "RABBITMQ_QUEUE": name, "HEARTBEAT": "1"}
    home = Path(wordcount.__path__[0])
    consume = [sys.executable, "-m", "jobtrail.cli.main", "consume"]
    with (
        running(consume, consumer, tmp_path, tmp_path / "consumer.log"),
        running([sys.executable, str(home / "wordcount.py")], worker, home, tmp_path / "worker.log"),
    ):
        for queue in (settings.reply_stream, name, error_queue(name)):
            eventually(lambda queue=queue: queue_depth(settings.require_amqp_url(), queue) is not None)
        yield name


def ask_for(settings: Settings, extractor: str, path: Path) -> str:
    return submit(
        settings.require_amqp_url(),
        extractor,
        resource_id="5cb2d2d3a4be0f9fd3400001",
        filename=path.name,
        user_id="amara",
        parameters={"path": str(path), "duration_s": 0},
        reply_queue=settings.reply_stream,
    )


def ended(job_id: str, settings: Settings, mongo_client: MongoClient[Document]) -> Document:
    job = mongo_client[settings.database].jobs.find_one({"_id": job_id})
    assert job is not None
    assert job["status"] in ("SUCCEEDED", "ERROR"), job
    return job


def test_a_word_count_of_a_real_file_succeeds(
    extractor: str, settings: Settings, mongo_client: MongoClient[Document], tmp_path: Path
) -> None:
    file = tmp_path / "poem.txt"
    file.write_text("one two\nthree\n")
    job_id = ask_for(settings, extractor, file)
    job = eventually(lambda: ended(job_id, settings, mongo_client))
    assert (job["status"], job["attempts"], job["user_id"]) == ("SUCCEEDED", 1, "amara")
    assert (job["extractor_id"], job["message"]) == (extractor, "Done processing.")
    messages = [
        event["message"]
        for event in mongo_client[settings.database].extractions.find({"job_id": job_id}).sort("position")
    ]
    assert messages[:3] == [f"Submitted to {extractor}.", "Started processing.", "Counting words in poem.txt"]
    assert "Found 2 lines, 3 words, 14 characters" in messages
    assert queue_depth(settings.require_amqp_url(), error_queue(extractor)) == 0


def test_the_fast_retry_loop_of_a_failing_job_is_eleven_attempts_and_ends_in_the_error_queue(
    extractor: str, settings: Settings, mongo_client: MongoClient[Document], tmp_path: Path
) -> None:
    job_id = ask_for(settings, extractor, tmp_path / "there is no such file.txt")
    job = eventually(lambda: ended(job_id, settings, mongo_client))
    assert (job["status"], job["attempts"]) == ("ERROR", 11)
    assert "No such file" in job["message"]
    events = list(mongo_client[settings.database].extractions.find({"job_id": job_id}).sort("position"))
    attempts = [(event["state"], event["attempt"]) for event in events]
    expected: list[tuple[str, int]] = [("SUBMITTED", 0)]
    for attempt in range(1, 12):
        expected += [("STARTED", attempt), ("RESUBMITTED" if attempt < 11 else "ERROR", attempt)]
    assert attempts == expected
    assert not any(event["late"] for event in events)
    eventually(lambda: queue_depth(settings.require_amqp_url(), error_queue(extractor)) == 1)
    assert list(mongo_client[settings.database].dead_letters.find()) == []

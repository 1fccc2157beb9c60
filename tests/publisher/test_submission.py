"""Submitting: what a worker's queue and the reply queue get, and that the real pyClowder runs it."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from jobtrail.models.errors import BrokerError, NotFoundError
from jobtrail.publisher import submit
from tests.publisher.support import NOBODY_LISTENS, inbox
from tests.support import eventually

PYCLOWDER_WORKER = Path(__file__).with_name("pyclowder_worker.py")


class Clowder(BaseHTTPRequestHandler):
    """The two answers of a Clowder that pyClowder wants before it runs a dataset's request."""

    def do_GET(self) -> None:
        answer = (
            [{"id": "file-9", "filename": "a.txt"}] if "/files" in self.path else {"id": "d", "name": "the dataset"}
        )
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def clowder():
    server = HTTPServer(("127.0.0.1", 0), Clowder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def run_pyclowder(amqp_url: str, queue: str) -> dict:
    """Let the real pyClowder take one request; return what it gave the extractor."""
    ran = subprocess.run(
        [sys.executable, PYCLOWDER_WORKER, amqp_url, queue], capture_output=True, text=True, timeout=60, check=True
    )
    return json.loads(ran.stdout.splitlines()[-1])


def test_submitted_is_said_first_and_the_request_names_where_to_reply(amqp_url, names):
    with inbox(amqp_url, names.queue("work")) as work, inbox(amqp_url, names.queue("replies")) as replies:
        job_id = submit(
            amqp_url,
            names.queue("work"),
            resource_id="file-1",
            user_id="user-1",
            parameters={"depth": 3},
            filename="a.txt",
            dataset_id="dataset-1",
            reply_queue=names.queue("replies"),
        )
        (request,) = eventually(work.take)
        (update,) = eventually(replies.take)
    assert (update.kind, update.fields["job_id"], update.fields["user_id"]) == ("SUBMITTED", job_id, "user-1")
    assert (update.fields["extractor_id"], update.fields["file_id"]) == (names.queue("work"), "file-1")
    assert "producer_id" not in update.fields
    assert (request.properties.reply_to, request.properties.delivery_mode) == (names.queue("replies"), 2)
    assert request.properties.correlation_id == update.properties.correlation_id is not None
    assert request.properties.message_id != update.properties.message_id
    assert request.fields["jobid"] == request.fields["job_id"] == job_id
    assert (request.fields["filename"], request.fields["parameters"]) == ("a.txt", {"depth": 3})


def test_the_real_pyclowder_runs_a_submitted_file(amqp_url, names):
    queue = names.queue("work.dataset.name")  # the extractor's own name must not make it a dataset
    with inbox(amqp_url, queue), inbox(amqp_url, names.queue("replies")) as replies:
        job_id = submit(
            amqp_url,
            queue,
            resource_id="file-1",
            filename="a.txt",
            dataset_id="dataset-1",
            parameters={"depth": 3},
            reply_queue=names.queue("replies"),
        )
        seen = run_pyclowder(amqp_url, queue)
        messages = eventually(lambda: replies.take_all(4))
    assert (seen["resource"]["type"], seen["resource"]["id"], seen["resource"]["name"]) == ("file", "file-1", "a.txt")
    assert seen["resource"]["parent"] == {"type": "dataset", "id": "dataset-1"}
    assert seen["parameters"]["parameters"] == {"depth": 3}
    assert [m.kind for m in messages] == [
        "SUBMITTED",
        "StatusMessage.start",
        "StatusMessage.processing",
        "StatusMessage.done",
    ]
    assert {(m.fields["job_id"], m.fields["file_id"]) for m in messages} == {(job_id, "file-1")}
    assert len({m.properties.correlation_id for m in messages}) == 1


def test_the_real_pyclowder_runs_a_submitted_dataset(amqp_url, names, clowder):
    queue = names.queue("work.file.name")
    with inbox(amqp_url, queue), inbox(amqp_url, names.queue("replies")) as replies:
        job_id = submit(
            amqp_url,
            queue,
            resource_id="dataset-1",
            resource_type="dataset",
            host=clowder,
            reply_queue=names.queue("replies"),
        )
        seen = run_pyclowder(amqp_url, queue)
        messages = eventually(lambda: replies.take_all(4))
    assert (seen["resource"]["type"], seen["resource"]["id"]) == ("dataset", "dataset-1")
    assert messages[-1].kind == "StatusMessage.done"
    assert {(m.fields["job_id"], m.fields["file_id"]) for m in messages} == {(job_id, "dataset-1")}


def test_a_missing_workers_queue_is_said_and_the_job_does_not_hang(amqp_url, names):
    with inbox(amqp_url, names.queue("replies")) as replies:
        with pytest.raises(NotFoundError, match=names.queue("nowhere")):
            submit(
                amqp_url,
                names.queue("nowhere"),
                resource_id="file-1",
                job_id=names.job(),
                reply_queue=names.queue("replies"),
            )
        messages = eventually(lambda: replies.take_all(2))
    assert [m.kind for m in messages] == ["SUBMITTED", "CANCELLED"]
    assert {m.fields["job_id"] for m in messages} == {names.job()}


def test_a_missing_reply_queue_is_said_and_no_request_is_sent(amqp_url, names):
    with inbox(amqp_url, names.queue("work")) as work:
        with pytest.raises(NotFoundError, match=names.queue("nowhere")):
            submit(amqp_url, names.queue("work"), resource_id="file-1", reply_queue=names.queue("nowhere"))
        assert work.take() == []


def test_a_broker_that_is_away_is_named_without_secrets(names):
    with pytest.raises(BrokerError) as error:
        submit(NOBODY_LISTENS.replace("guest@", "geheim@"), "work", resource_id="file-1")
    assert "127.0.0.1:1" in str(error.value)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"resource_id": " "}, {"job_id": ""}, {"job_id": "x" * 129}, {"host": ""}])
def test_ids_that_no_update_could_carry_are_refused(amqp_url, names, wrong):
    with pytest.raises(ValueError, match="must not be blank"):
        submit(amqp_url, names.queue("work"), **({"resource_id": "file-1"} | wrong))

"""A worker's log records and printed lines become updates of the right job."""

import contextvars
import logging
import subprocess
import sys
import textwrap
import threading
from uuid import uuid4

import pytest

from jobtrail.publisher.output.capture import MAX_LINE_CHARS, capture_output
from jobtrail.publisher.output.log_handler import JobLogHandler
from jobtrail.publisher.reporter import Job
from jobtrail.publisher.request import Request
from jobtrail.publisher.spool.ledger import SpoolLedger
from tests.publisher.support import spooled


@pytest.fixture
def ledger(tmp_path):
    ledger = SpoolLedger("tests.extractor", reply_queue="replies", spool_path=tmp_path / "spool")
    yield ledger
    ledger.close()


@pytest.fixture
def logger():
    logger = logging.getLogger(f"worker-{uuid4().hex}")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.handlers.clear()


def a_job(ledger: SpoolLedger, job_id: str = "job") -> Job:
    return Job(ledger, Request.create("file-1", job_id=job_id))


def progress(ledger: SpoolLedger, job_id: str = "job") -> list[str]:
    return [
        update["message"]
        for update in spooled(ledger)
        if update["job_id"] == job_id and update["message_type"] == "PROCESSING"
    ]


def test_log_records_inside_a_job_become_progress_with_their_level(ledger, logger):
    logger.addHandler(JobLogHandler())
    logger.info("before any job")
    with a_job(ledger):
        logger.debug("too fine")
        logger.info("reading %s", "a.txt")
        logger.warning("disk is nearly full")
    logger.info("after the job")
    assert progress(ledger) == ["reading a.txt", "WARNING: disk is nearly full"]


def test_a_formatter_of_the_workers_own_is_respected(ledger, logger):
    handler = JobLogHandler("ERROR")
    handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
    logger.addHandler(handler)
    with a_job(ledger):
        logger.warning("not sent")
        logger.error("sent")
    assert progress(ledger) == ["[ERROR] sent"]


def test_a_logged_exception_brings_its_traceback(ledger, logger):
    logger.addHandler(JobLogHandler())
    with a_job(ledger):
        try:
            int("bad line 7")
        except ValueError:
            logger.exception("giving up")
    (text,) = progress(ledger)
    assert text.startswith("ERROR: giving up\nTraceback")
    assert text.endswith("'bad line 7'")


@pytest.mark.parametrize(
    "name", ["pika.connection", "aio_pika", "aiormq.connection", "jobtrail.publisher.sender", "asyncio"]
)
def test_what_sending_logs_is_not_sent(ledger, name):
    handler = JobLogHandler(logging.DEBUG)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        with a_job(ledger):
            logger.error("connection lost")
    finally:
        logger.removeHandler(handler)
    assert progress(ledger) == []


def test_a_record_that_cannot_be_formatted_does_not_raise(ledger, logger, monkeypatch, capsys):
    monkeypatch.setattr(logging, "raiseExceptions", True)
    logger.propagate = False  # pytest's own handler does raise
    logger.addHandler(JobLogHandler())
    with a_job(ledger):
        logger.info("%d files", "many")
        logger.info("going on")
    assert progress(ledger) == ["going on"]
    assert "Logging error" in capsys.readouterr().err


def test_threads_log_to_the_job_whose_context_they_run_in(ledger, logger):
    logger.addHandler(JobLogHandler())

    def work(label: str) -> None:
        with a_job(ledger, label):
            logger.info("from %s", label)
            helper = threading.Thread(target=contextvars.copy_context().run, args=(logger.info, "helper of %s", label))
            helper.start()
            helper.join()

    threads = [threading.Thread(target=work, args=(label,)) for label in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for label in "abc":
        assert progress(ledger, label) == [f"from {label}", f"helper of {label}"]


def test_threads_without_a_context_log_to_the_job_of_the_handler(ledger, logger):
    with a_job(ledger) as job:
        logger.addHandler(JobLogHandler(job=job))
        thread = threading.Thread(target=logger.info, args=("from a plain thread",))
        thread.start()
        thread.join()
    assert progress(ledger) == ["from a plain thread"]


def test_printed_lines_become_progress_and_are_still_printed(ledger, capsys):
    with a_job(ledger), capture_output():
        print("one")
        print("tw", end="")
        print("o\n\nthree")
        print("to stderr", file=sys.stderr)
        print("unfinished", end="")
    print("after")
    assert progress(ledger) == ["one", "two", "three", "to stderr", "unfinished"]
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("one\ntwo\n\nthree\nunfinishedafter\n", "to stderr\n")


def test_a_line_without_an_end_is_sent_in_pieces(ledger):
    with a_job(ledger), capture_output():
        for _ in range(3):
            sys.stdout.write("x" * MAX_LINE_CHARS)
    assert [len(text) for text in progress(ledger)] == [MAX_LINE_CHARS] * 3


def test_jobs_side_by_side_capture_their_own_lines(ledger):
    barrier = threading.Barrier(2)

    def work(label: str) -> None:
        with a_job(ledger, label), capture_output():
            barrier.wait()
            for number in range(20):
                print(f"{label} {number}")
            barrier.wait()

    real = sys.stdout, sys.stderr
    threads = [threading.Thread(target=work, args=(label,)) for label in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sys.stdout, sys.stderr) == real
    for label in "ab":
        assert progress(ledger, label) == [f"{label} {number}" for number in range(20)]


def test_logging_on_a_captured_stream_is_reported_once(ledger, logger):
    with a_job(ledger), capture_output():
        logger.addHandler(logging.StreamHandler(sys.stderr))
        logger.info("seen once")
    assert progress(ledger) == ["seen once"]


def test_capture_output_outside_of_a_job_says_what_is_wrong():
    with pytest.raises(ValueError, match="needs a job"), capture_output():
        pass


def test_captured_streams_work_for_what_needs_their_file_descriptor(ledger, tmp_path):
    script = f"""
        import subprocess, sys
        from jobtrail.publisher.output.capture import capture_output
        from jobtrail.publisher.spool.ledger import SpoolLedger
        from jobtrail.publisher.reporter import Job
        from jobtrail.publisher.request import Request
        ledger = SpoolLedger("x", reply_queue="q", spool_path=__import__("pathlib").Path({str(tmp_path / "other")!r}))
        with Job(ledger, Request.create("file")), capture_output():
            subprocess.run(["echo", "from a subprocess"], stdout=sys.stdout, check=True)
            sys.stdout.buffer.write(b"bytes\\n")
            assert not sys.stdout.isatty() and sys.stdout.encoding
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, check=True, timeout=60)
    assert sorted(ran.stdout.split()) == [b"a", b"bytes", b"from", b"subprocess"]

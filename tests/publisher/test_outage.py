"""The broker goes away, workers are killed: nothing is lost, nothing is doubled, each job's order holds."""

import json
import random
import signal
import subprocess
import sys
import textwrap

import pytest

from jobtrail.publisher.reporter import Reporter
from jobtrail.runtime.backoff import Backoff
from tests.conftest import REPOSITORY
from tests.publisher.support import NOBODY_LISTENS, inbox, kill, start_worker, without_repeats
from tests.support import WAIT_S, eventually

QUEUE = "replies-in-an-outage"


def test_updates_made_while_the_broker_was_away_arrive_in_order(own_rabbitmq, tmp_path, monkeypatch):
    monkeypatch.setattr(Backoff.__init__, "__defaults__", (0.2, 0.5))
    url = own_rabbitmq.url
    with inbox(url, QUEUE):
        pass
    with Reporter(url, "tests.extractor", reply_queue=QUEUE, spool_path=tmp_path) as reporter:
        with reporter.job("file") as job:
            for number in range(2000):
                job.progress(str(number))
                if number == 500:
                    own_rabbitmq.kill()
                if number == 1000:
                    own_rabbitmq.start()
                if number == 1500:
                    own_rabbitmq.stop()
        own_rabbitmq.start()
        assert reporter.flush(WAIT_S)
        with inbox(url, QUEUE) as replies:
            messages = without_repeats(eventually(lambda: replies.take_all(2002)))
    assert [m.fields["sequence"] for m in messages] == list(range(1, 2003))
    assert not [*tmp_path.iterdir()]


def test_what_a_killed_worker_left_arrives_first_and_as_it_was(amqp_url, names, tmp_path):
    with inbox(amqp_url, names.queue()) as replies:
        worker = start_worker(NOBODY_LISTENS, names.queue(), tmp_path, names.job("dead"), 50)
        for _ in range(50):
            worker.stdout.readline()
        kill(worker)
        with Reporter(amqp_url, "tests.worker", reply_queue=names.queue(), spool_path=tmp_path) as reporter:
            with reporter.job("resource", job_id=names.job("next")):
                pass
            assert reporter.flush(WAIT_S)
        messages = eventually(lambda: replies.take_all(53))
    dead, following = messages[:51], messages[51:]
    assert [m.fields["sequence"] for m in dead] == list(range(1, 52))
    assert {m.fields["job_id"] for m in dead} == {names.job("dead")}
    assert {m.fields["job_id"] for m in following} == {names.job("next")}
    assert {m.fields["producer_id"] for m in dead}.isdisjoint(m.fields["producer_id"] for m in following)
    assert not [*tmp_path.iterdir()]


def test_workers_killed_at_any_moment_lose_and_double_nothing(amqp_url, names, tmp_path):
    printed: dict[str, list[int]] = {}
    dice = random.Random(7)
    with inbox(amqp_url, names.queue()) as replies:
        for life in range(8):
            job = names.job(str(life))
            worker = start_worker(amqp_url, names.queue(), tmp_path, job, 100_000)
            lines = [int(worker.stdout.readline()) for _ in range(dice.randrange(1, 3000))]
            printed[job] = lines + kill(worker)
        with Reporter(amqp_url, "tests.worker", reply_queue=names.queue(), spool_path=tmp_path) as reporter:
            assert reporter.flush(WAIT_S)
        messages = without_repeats(replies.take())
    assert not [*tmp_path.iterdir()]
    for job, numbers in printed.items():
        arrived = [m for m in messages if m.fields["job_id"] == job]
        assert [m.fields["sequence"] for m in arrived] == list(range(1, len(arrived) + 1))
        # The last call may have been recorded without living to print its number.
        assert len(numbers) <= len(arrived) - 1 <= len(numbers) + 1
        assert [int(m.text) for m in arrived[1:]] == list(range(1, len(arrived)))


def test_two_live_replicas_do_not_touch_each_others_spool_and_adopt_a_dead_ones(amqp_url, names, tmp_path):
    with inbox(amqp_url, names.queue()) as replies:
        workers = [start_worker(NOBODY_LISTENS, names.queue(), tmp_path, names.job(label), 5) for label in "ab"]
        for worker in workers:
            for _ in range(5):
                worker.stdout.readline()
        kill(workers[0])
        with Reporter(amqp_url, "tests.worker", reply_queue=names.queue(), spool_path=tmp_path) as reporter:
            assert reporter.flush(WAIT_S)
        assert {m.fields["job_id"] for m in replies.take()} == {names.job("a")}
        kill(workers[1])
        with Reporter(amqp_url, "tests.worker", reply_queue=names.queue(), spool_path=tmp_path) as reporter:
            assert reporter.flush(WAIT_S)
        assert [m.fields["job_id"] for m in replies.take()] == [names.job("a")] * 6 + [names.job("b")] * 6


def test_a_worker_that_never_closes_its_reporter_still_ends(amqp_url, names, tmp_path):
    script = f"""
        from jobtrail.publisher import Reporter
        with Reporter({amqp_url!r}, "x", reply_queue={names.queue()!r}, spool_path={str(tmp_path)!r}).job("file"):
            pass
    """
    with inbox(amqp_url, names.queue()) as replies:
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
        with Reporter(amqp_url, "x", reply_queue=names.queue(), spool_path=tmp_path) as reporter:
            assert reporter.flush(WAIT_S)
        assert [m.kind for m in without_repeats(replies.take())] == ["STARTED", "SUCCEEDED"]


def test_forked_children_report_on_their_own(amqp_url, names, tmp_path):
    script = f"""
        import os, sys
        from jobtrail.publisher import Reporter
        with Reporter({amqp_url!r}, "x", reply_queue={names.queue()!r}, spool_path={str(tmp_path)!r}) as reporter:
            with reporter.job("file", job_id="parents") as job:
                children = []
                for number in range(3):
                    child = os.fork()
                    if child == 0:
                        job.progress(f"child {{number}}")
                        with reporter.job("file", job_id=f"child-{{number}}"):
                            pass
                        reporter.close()
                        sys.stdout.flush()
                        os._exit(0)
                    children.append(child)
                for child in children:
                    assert os.waitpid(child, 0)[1] == 0
    """
    with inbox(amqp_url, names.queue()) as replies:
        subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)
        messages = eventually(lambda: replies.take_all(11))
    of_parent = [m for m in messages if m.fields["job_id"] == "parents"]
    assert {m.text for m in of_parent if "producer_id" not in m.fields} == {"child 0", "child 1", "child 2"}
    assert [m.fields["sequence"] for m in of_parent if "producer_id" in m.fields] == [1, 2]
    for number in range(3):
        own = [m for m in messages if m.fields["job_id"] == f"child-{number}"]
        assert [m.fields["sequence"] for m in own] == [1, 2]
    assert len({m.fields["producer_id"] for m in messages if "producer_id" in m.fields}) == 4
    assert not [*tmp_path.iterdir()]


def test_a_report_inside_a_signal_handler_does_not_deadlock(tmp_path):
    script = f"""
        import os, signal
        from jobtrail.publisher import Reporter
        with Reporter({NOBODY_LISTENS!r}, "x", spool_path={str(tmp_path)!r}) as reporter, reporter.job("file") as job:
            def alarm():  # the next one a moment after this one: a slow machine would do nothing else
                signal.setitimer(signal.ITIMER_REAL, 0.001)
            signal.signal(signal.SIGALRM, lambda *_: (job.progress("alarm"), alarm()))
            alarm()
            for number in range(5000):
                job.progress(str(number))
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            reporter.close(0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_importing_the_publisher_is_cheap_and_loads_no_server_parts():
    script = "import sys, json, publisher; publisher.Reporter; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, cwd=REPOSITORY, timeout=60)
    loaded = set(json.loads(ran.stdout))
    assert not loaded & {"aio_pika", "aiormq", "pydantic", "pymongo", "bson", "typer", "rich", "structlog", "store"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_worker_leaves_what_it_could_not_send(number, tmp_path):
    worker = start_worker(NOBODY_LISTENS, "nowhere", tmp_path, "job", 3)
    for _ in range(3):
        worker.stdout.readline()
    worker.send_signal(number)
    worker.stdout.close()
    worker.wait(60)
    assert [*tmp_path.glob("*.spool")]

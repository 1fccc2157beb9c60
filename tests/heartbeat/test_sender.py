"""Our heartbeat sender on a real broker."""

import json
import threading
import time
from contextlib import contextmanager
from uuid import uuid4

import pytest

import jobtrail.heartbeat.sender as sender_module
from jobtrail.heartbeat.sender import HeartbeatSender
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from tests.heartbeat.support import channel_to
from tests.support import eventually

INFO = {"name": "ours", "version": "1.0"}


@contextmanager
def listening(amqp_url: str):
    """A function that returns all heartbeats so far."""
    with channel_to(amqp_url) as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, HEARTBEAT_EXCHANGE)
        seen: list[dict] = []

        def heartbeats() -> list[dict]:
            while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
                seen.append(json.loads(got[2]))
            return seen

        yield heartbeats


def sender(amqp_url: str, **options) -> HeartbeatSender:
    options = {"queue": "ours", "instance_id": str(uuid4()), "interval_s": 3600} | options
    return HeartbeatSender(amqp_url, INFO, **options)


def test_the_first_heartbeat_is_sent_at_once_and_more_follow(amqp_url):
    with listening(amqp_url) as heartbeats, sender(amqp_url, interval_s=0.1, owner="me@example.org"):
        eventually(lambda: len(heartbeats()) >= 3)
        first, second = heartbeats()[:2]
        assert first["extractor_info"] == INFO
        assert (first["queue"], first["owner"], first["interval_s"]) == ("ours", "me@example.org", 0.1)
        assert second["sequence"] == first["sequence"] + 1
        assert "jobs" not in first
        assert "stopping" not in first


def test_a_begun_job_is_told_at_once(amqp_url):
    jobs: set[str] = set()
    with listening(amqp_url) as heartbeats, sender(amqp_url, jobs_in_flight=lambda: jobs) as ours:
        eventually(lambda: [each["jobs"] for each in heartbeats()] == [[]])
        jobs.add("job-1")
        ours.beat_now()
        eventually(lambda: [each["jobs"] for each in heartbeats()] == [[], ["job-1"]])


def test_a_clean_stop_is_prompt_and_says_goodbye(amqp_url):
    with listening(amqp_url) as heartbeats:
        ours = sender(amqp_url)
        ours.start()
        eventually(heartbeats)
        started = time.monotonic()
        ours.stop()
        assert time.monotonic() - started < 10
        eventually(lambda: [each.get("stopping") for each in heartbeats()] == [None, True])
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat-sender"]


def test_jobs_that_are_not_known_are_left_out_and_the_sender_goes_on(amqp_url, caplog):
    def broken() -> set[str]:
        raise KeyError("worker's bug")

    with listening(amqp_url) as heartbeats, sender(amqp_url, interval_s=0.05, jobs_in_flight=broken):
        eventually(lambda: len(heartbeats()) >= 3)
        assert not any("jobs" in each for each in heartbeats())
    assert "heartbeat.sender.jobs_unknown" in {getattr(record, "action", "") for record in caplog.records}


def test_an_unexpected_error_does_not_end_the_thread(amqp_url, caplog, monkeypatch):
    failures = iter([RuntimeError("unexpected")])

    def once(*args, **kwargs):
        for failure in failures:
            raise failure
        return original(*args, **kwargs)

    original = sender_module.encode_heartbeat
    monkeypatch.setattr(sender_module, "encode_heartbeat", once)
    with listening(amqp_url) as heartbeats, sender(amqp_url):
        eventually(heartbeats)
    assert "heartbeat.sender.failed" in {getattr(record, "action", "") for record in caplog.records}


def test_heartbeats_go_on_after_the_broker_was_restarted_twice(own_rabbitmq, monkeypatch):
    monkeypatch.setattr(sender_module, "LONGEST_PAUSE_S", 0.5)
    url = own_rabbitmq.url
    with sender(url, interval_s=0.2):
        for restart in (own_rabbitmq.stop, own_rabbitmq.kill):
            with listening(url) as heartbeats:
                eventually(heartbeats)
            restart()
            own_rabbitmq.start()
        with listening(url) as heartbeats:
            eventually(heartbeats)


def test_a_sender_without_a_broker_neither_blocks_its_worker_nor_its_stop():
    ours = sender("amqp://guest:guest@127.0.0.1:1/")
    started = time.monotonic()
    with ours:
        ours.beat_now()
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("info", [{}, {"name": ""}, {"name": "x", "bad": {1, 2}}])
def test_an_info_that_cannot_be_sent_is_refused_at_once(info):
    with pytest.raises(ValueError, match="extractor_info"):
        HeartbeatSender("amqp://localhost/", info, queue="q", instance_id="i")

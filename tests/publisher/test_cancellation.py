"""Cancelling: the one request goes, all others stay in their order, and being too late is said."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pika
import pytest

from jobtrail.models.errors import JobTrailError, NotFoundError, TooLateError
from jobtrail.publisher import cancel, queue_walk, submit
from jobtrail.publisher.queue_walk import MAX_DELIVERY_COUNT
from tests.publisher.support import inbox
from tests.support import eventually

ARGUMENTS = {"classic": {"x-queue-type": "classic"}, "quorum": {"x-queue-type": "quorum"}}


@pytest.fixture(params=ARGUMENTS)
def work(request, amqp_url, names):
    with inbox(amqp_url, names.queue("work"), arguments=ARGUMENTS[request.param]) as opened:
        yield opened


@pytest.fixture
def replies(amqp_url, names):
    with inbox(amqp_url, names.queue("replies")) as opened:
        yield opened


def fill(amqp_url: str, names, count: int) -> list[str]:
    jobs = [names.job(str(number)) for number in range(count)]
    for job in jobs:
        submit(amqp_url, names.queue("work"), resource_id="file", job_id=job, reply_queue=names.queue("replies"))
    return jobs


def job_ids(messages) -> list[str]:
    return [message.fields["jobid"] for message in messages]


@pytest.mark.parametrize("position", [1, 5, 60])
def test_the_request_goes_and_the_others_keep_their_order(amqp_url, names, work, replies, position):
    jobs = fill(amqp_url, names, 60)
    target = jobs[position - 1]
    result = cancel(amqp_url, names.queue("work"), target, user_id="user-1")
    assert (result.job_id, result.position, result.resource_id) == (target, position, "file")
    others = [job for job in jobs if job != target]
    messages = eventually(lambda: work.take_all(59))
    assert job_ids(messages) == others
    assert [m.redelivered for m in messages] == [True] * (position - 1) + [False] * (60 - position)
    update = eventually(lambda: replies.take_all(61))[-1]
    assert (update.kind, update.fields["job_id"], update.fields["user_id"]) == ("CANCELLED", target, "user-1")
    submitted = replies.messages[position - 1]
    assert update.properties.correlation_id == submitted.properties.correlation_id


def test_requests_of_others_stay_as_they_are(amqp_url, names, work, replies):
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().basic_publish("", names.queue("work"), b'{"no": "request"}')
        connection.channel().basic_publish("", names.queue("work"), b'{"id": "file", "jobid": "of somebody"}')
        fill(amqp_url, names, 1)
        cancel(amqp_url, names.queue("work"), names.job("0"))
    assert [m.fields for m in eventually(lambda: work.take_all(2))] == [
        {"no": "request"},
        {"id": "file", "jobid": "of somebody"},
    ]


def test_a_request_that_a_worker_holds_is_too_late_and_stays_with_it(amqp_url, names, work, replies):
    jobs = fill(amqp_url, names, 3)
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as worker:
        channel = worker.channel()
        method, _, _ = channel.basic_get(names.queue("work"))
        with pytest.raises(TooLateError, match=jobs[0]):
            cancel(amqp_url, names.queue("work"), jobs[0])
        channel.basic_ack(method.delivery_tag)
    assert job_ids(eventually(lambda: work.take_all(2))) == jobs[1:]
    assert replies.kinds() == ["SUBMITTED"] * 3


def test_an_unknown_job_and_an_empty_queue_are_too_late(amqp_url, names, work):
    with pytest.raises(TooLateError):
        cancel(amqp_url, names.queue("work"), names.job())


def test_a_missing_queue_is_said(amqp_url, names):
    with pytest.raises(NotFoundError, match=names.queue("nowhere")):
        cancel(amqp_url, names.queue("nowhere"), names.job())


def test_without_a_queue_for_the_update_nothing_is_cancelled(amqp_url, names, work, replies):
    jobs = fill(amqp_url, names, 3)
    replies.delete()
    with pytest.raises(NotFoundError, match=names.queue("replies")):
        cancel(amqp_url, names.queue("work"), jobs[1])
    assert job_ids(eventually(lambda: work.take_all(3))) == jobs


def test_a_queue_too_long_to_be_walked_is_left_as_it_is(amqp_url, names, work, replies, monkeypatch):
    monkeypatch.setattr(queue_walk, "MAX_WALKED", 3)
    jobs = fill(amqp_url, names, 5)
    with pytest.raises(JobTrailError, match="5 messages wait"):
        cancel(amqp_url, names.queue("work"), jobs[4])
    assert job_ids(eventually(lambda: work.take_all(5))) == jobs


@pytest.mark.parametrize("order", [[1, 4, 7], [7, 4, 1], [4, 7, 1]])
def test_several_cancellations_one_after_the_other_keep_the_order(amqp_url, names, work, replies, order):
    jobs = fill(amqp_url, names, 12)
    for position in order:
        cancel(amqp_url, names.queue("work"), jobs[position])
    assert job_ids(eventually(lambda: work.take_all(9))) == [jobs[n] for n in range(12) if n not in order]


def test_cancellations_side_by_side_all_find_their_request(amqp_url, names, work, replies):
    jobs = fill(amqp_url, names, 12)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda job: cancel(amqp_url, names.queue("work"), job), jobs[1::3]))
    assert job_ids(eventually(lambda: work.take_all(8))) == [job for job in jobs if job not in jobs[1::3]]


def test_busy_workers_run_every_request_but_the_cancelled_ones_once(amqp_url, names, work, replies):
    """Each job either runs or is cancelled, never both, never neither; idle workers grab what they can meanwhile."""
    jobs = fill(amqp_url, names, 150)
    ran, cancelled, late = [], [], []
    stop = threading.Event()

    def serve() -> None:
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=1)
            for method, _, body in channel.consume(names.queue("work"), inactivity_timeout=0.05):
                if method is not None:
                    ran.append(body)
                    channel.basic_ack(method.delivery_tag)
                elif stop.is_set():
                    return

    workers = [threading.Thread(target=serve) for _ in range(2)]
    for worker in workers:
        worker.start()
    for job in jobs[::-10]:
        try:
            cancelled.append(cancel(amqp_url, names.queue("work"), job).job_id)
        except TooLateError:
            late.append(job)
    eventually(lambda: len(ran) + len(cancelled) >= len(jobs))
    stop.set()
    for worker in workers:
        worker.join()
    assert sorted([*(names.job(str(n)) for n in range(150))]) == sorted([*cancelled, *map(job_id_of, ran)])
    assert len(cancelled) + len(late) == 15


def job_id_of(body: bytes) -> str:
    return json.loads(body)["jobid"]


def test_a_quorum_queue_is_not_walked_until_the_broker_gives_up_on_its_requests(amqp_url, names, replies):
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": MAX_DELIVERY_COUNT + 2}
    with inbox(amqp_url, names.queue("work"), arguments=arguments) as work:
        jobs = fill(amqp_url, names, 2)
        for _ in range(MAX_DELIVERY_COUNT):
            with pytest.raises(TooLateError):
                cancel(amqp_url, names.queue("work"), names.job("unknown"))
        for _ in range(2):
            with pytest.raises(JobTrailError, match="delivered"):
                cancel(amqp_url, names.queue("work"), names.job("unknown"))
        assert job_ids(eventually(lambda: work.take_all(2))) == jobs

"""Updates go to a stream, or to the job's own of several."""

import json

import pika
import pytest

from jobtrail.models.errors import NotFoundError
from jobtrail.models.topology import stream_names, stream_of
from jobtrail.publisher.async_reporter import AsyncReporter
from jobtrail.publisher.cancellation import cancel
from jobtrail.publisher.reporter import Reporter
from jobtrail.publisher.submission import submit
from tests.publisher.support import declare_streams, inbox, stream_messages
from tests.support import WAIT_S, eventually

PARTITIONS = 3


@pytest.fixture
def partitions(amqp_url, names):
    """The common name of three streams that are there."""
    stream = names.queue("updates")
    names.queues += stream_names(stream, PARTITIONS)
    declare_streams(amqp_url, *stream_names(stream, PARTITIONS))
    return stream


def jobs_by_stream(stream: str, job_ids: list[str]) -> dict[str, list[str]]:
    """The jobs that belong to each stream; every stream must have some."""
    belonging = {
        name: [job for job in job_ids if stream_of(stream, PARTITIONS, job) == name]
        for name in stream_names(stream, PARTITIONS)
    }
    assert all(belonging.values())
    return belonging


def test_a_stream_that_is_made_late_gets_all_updates_in_order(amqp_url, names, tmp_path):
    stream = names.queue("updates")
    with Reporter(amqp_url, "tests.extractor", reply_queue=stream, spool_path=tmp_path) as reporter:
        with reporter.job("file") as job:
            for number in range(1000):
                job.progress(str(number))
        assert reporter.flush(WAIT_S)
        assert reporter.unsent == 1002
        declare_streams(amqp_url, stream)
        eventually(lambda: reporter.unsent == 0)
    messages = stream_messages(amqp_url, stream, 1002)
    assert [m.fields["sequence"] for m in messages] == list(range(1, 1003))


def test_a_job_has_one_of_the_streams_for_all_its_updates(amqp_url, names, partitions, tmp_path):
    jobs = [names.job(str(number)) for number in range(30)]
    with Reporter(
        amqp_url, "tests.extractor", reply_queue=partitions, partitions=PARTITIONS, spool_path=tmp_path
    ) as reporter:
        for job_id in jobs:
            with reporter.job("file", job_id=job_id):
                pass
        assert reporter.flush(WAIT_S)
    for stream, expected in jobs_by_stream(partitions, jobs).items():
        messages = stream_messages(amqp_url, stream, 2 * len(expected))
        assert [m.fields["job_id"] for m in messages] == [job for job in expected for _ in range(2)]


async def test_an_async_reporter_chooses_the_same_streams(amqp_url, names, partitions, tmp_path):
    jobs = [names.job(str(number)) for number in range(30)]
    async with AsyncReporter(
        amqp_url, "tests.extractor", reply_queue=partitions, partitions=PARTITIONS, spool_path=tmp_path
    ) as reporter:
        for job_id in jobs:
            async with reporter.job("file", job_id=job_id):
                pass
        assert await reporter.flush(WAIT_S)
    for stream, expected in jobs_by_stream(partitions, jobs).items():
        messages = stream_messages(amqp_url, stream, 2 * len(expected))
        assert [m.fields["job_id"] for m in messages] == [job for job in expected for _ in range(2)]


def test_a_job_whose_request_names_where_to_reply_stays_there(amqp_url, names, partitions, tmp_path):
    with (
        inbox(amqp_url, names.queue("theirs")) as theirs,
        Reporter(
            amqp_url, "tests.extractor", reply_queue=partitions, partitions=PARTITIONS, spool_path=tmp_path
        ) as reporter,
    ):
        with reporter.job("file", reply_to=theirs.queue):
            pass
        assert reporter.flush(WAIT_S)
        assert [m.kind for m in eventually(lambda: theirs.take_all(2))] == ["STARTED", "SUCCEEDED"]


def test_a_request_names_the_jobs_stream_and_its_cancellation_goes_there_too(amqp_url, names, partitions):
    jobs = [names.job(str(number)) for number in range(12)]
    with inbox(amqp_url, names.queue("work")) as work:
        for job_id in jobs:
            submit(
                amqp_url,
                work.queue,
                resource_id="file",
                job_id=job_id,
                reply_queue=partitions,
                partitions=PARTITIONS,
            )
        for job_id in jobs[:6]:
            cancel(amqp_url, work.queue, job_id, reply_queue="no.such.stream")
        requests = eventually(lambda: work.take_all(6))
    assert [m.properties.reply_to for m in requests] == [stream_of(partitions, PARTITIONS, job) for job in jobs[6:]]
    for stream, expected in jobs_by_stream(partitions, jobs).items():
        cancelled = [(job, "CANCELLED") for job in expected if job in jobs[:6]]
        messages = stream_messages(amqp_url, stream, len(expected) + len(cancelled))
        told = [(m.fields["job_id"], m.kind) for m in messages]
        assert told == [(job, "SUBMITTED") for job in expected] + cancelled


def test_a_request_that_names_nowhere_to_reply_is_cancelled_into_the_jobs_stream(amqp_url, names, partitions):
    job_id = names.job()
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection, inbox(amqp_url, names.queue("work")):
        body = json.dumps({"id": "file", "jobid": job_id}).encode()
        connection.channel().basic_publish("", names.queue("work"), body)
        cancel(amqp_url, names.queue("work"), job_id, reply_queue=partitions, partitions=PARTITIONS)
    (message,) = stream_messages(amqp_url, stream_of(partitions, PARTITIONS, job_id), 1)
    assert message.kind == "CANCELLED"


def test_a_job_whose_stream_is_missing_is_not_submitted(amqp_url, names):
    with inbox(amqp_url, names.queue("work")) as work:
        with pytest.raises(NotFoundError, match=r"nowhere\.[0-2]"):
            submit(amqp_url, work.queue, resource_id="file", reply_queue="nowhere", partitions=PARTITIONS)
        assert work.take() == []


def test_there_is_at_least_one_partition(amqp_url, tmp_path):
    with pytest.raises(ValueError, match="partitions must be at least 1"):
        Reporter(amqp_url, "tests.extractor", partitions=0, spool_path=tmp_path)

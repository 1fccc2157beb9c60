"""What every reporter does, in threads and on an event loop."""

import asyncio
import itertools
import json
import uuid
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import pika
import pytest

from jobtrail.models.errors import DecodeError, SettingError
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import decode_status_update
from jobtrail.publisher import AsyncReporter, Reporter, current_job
from tests.publisher.support import NOBODY_LISTENS, Inbox, inbox, soon, spooled
from tests.support import WAIT_S


class ThreadJob:
    """The blocking reporter's job, seen as the other one's."""

    def __init__(self, job) -> None:
        self._job = job
        self.job_id = job.job_id

    async def progress(self, *args, **kwargs) -> None:
        self._job.progress(*args, **kwargs)

    async def skip(self, reason: str) -> None:
        self._job.skip(reason)

    async def retry(self, message: str) -> None:
        self._job.retry(message)


class ThreadReporter:
    """The blocking reporter, seen as the other one."""

    def __init__(self, *args, **kwargs) -> None:
        self._reporter = Reporter(*args, **kwargs)
        self._ledger = self._reporter._ledger
        self.instance_id = self._reporter.instance_id
        self.jobs_in_flight = self._reporter.jobs_in_flight

    @property
    def unsent(self) -> int:
        return self._reporter.unsent

    @property
    def lost(self) -> int:
        return self._reporter.lost

    def job(self, *args, **kwargs) -> AbstractAsyncContextManager[ThreadJob]:
        return self._wrap(self._reporter.job(*args, **kwargs))

    def job_from_request(self, *args, **kwargs) -> AbstractAsyncContextManager[ThreadJob]:
        return self._wrap(self._reporter.job_from_request(*args, **kwargs))

    @asynccontextmanager
    async def _wrap(self, job):
        with job:
            yield ThreadJob(job)

    async def flush(self, timeout_s: float) -> bool:
        return await asyncio.to_thread(self._reporter.flush, timeout_s)

    async def close(self, timeout_s: float = 5.0) -> None:
        await asyncio.to_thread(self._reporter.close, timeout_s)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        await self.close()


@dataclass
class Bench:
    """A kind of reporter with a reply queue and a spool folder of its own."""

    kind: type
    amqp_url: str
    inbox: Inbox
    spool: object

    def reporter(self, amqp_url: str | None = None, **kwargs):
        settings = {"reply_queue": self.inbox.queue, "spool_path": self.spool} | kwargs
        return self.kind(amqp_url or self.amqp_url, "tests.extractor", **settings)

    async def received(self, count: int):
        messages = await soon(lambda: self.inbox.take_all(count))
        assert len(messages) == count
        return messages


@pytest.fixture(params=[ThreadReporter, AsyncReporter], ids=["threads", "asyncio"])
def bench(request, amqp_url, names, tmp_path):
    with inbox(amqp_url, names.queue("replies")) as opened:
        yield Bench(request.param, amqp_url, opened, tmp_path / "spool")


async def test_a_job_is_told_from_start_to_end_in_order(bench, names):
    async with bench.reporter() as reporter, reporter.job("file-1", job_id=names.job()) as job:
        await job.progress("reading", percent=10)
        await job.progress("writing", percent=90)
    messages = await bench.received(4)
    assert [(m.kind, m.text) for m in messages] == [
        ("STARTED", "Started processing."),
        ("PROCESSING", "reading"),
        ("PROCESSING", "writing"),
        ("SUCCEEDED", "Done processing."),
    ]
    assert [m.fields["sequence"] for m in messages] == [1, 2, 3, 4]
    assert [m.fields.get("percent") for m in messages] == [None, 10, 90, None]


async def test_every_field_and_property_is_on_the_wire(bench, names):
    before = datetime.now(UTC).replace(microsecond=0)
    async with (
        bench.reporter(instance_id="instance-1") as reporter,
        reporter.job("file-1", job_id=names.job(), user_id="user-1", correlation_id="mark-1") as job,
    ):
        await job.progress("half", percent=50)
    messages = await bench.received(3)
    assert len({m.properties.message_id for m in messages}) == 3
    assert len({m.fields["producer_id"] for m in messages}) == 1
    for message in messages:
        update = decode_status_update(json.dumps(message.fields).encode(), max_bytes=10_000)
        assert (update.job_id, update.resource_id, update.extractor_id) == (names.job(), "file-1", "tests.extractor")
        assert (update.user_id, update.instance_id, update.state) == ("user-1", "instance-1", Status(message.kind))
        assert before <= update.event_time <= datetime.now(UTC)
        assert message.fields["status"] == f"{message.kind}: {message.text}"
        properties = message.properties
        assert uuid.UUID(properties.message_id)
        assert (properties.correlation_id, properties.delivery_mode) == ("mark-1", 2)
        assert properties.content_type == "application/json"
        assert before.timestamp() <= properties.timestamp <= datetime.now(UTC).timestamp()


async def test_an_exception_ends_the_job_as_error_and_goes_on(bench):
    async with bench.reporter() as reporter:
        with pytest.raises(ValueError, match="bad file"):
            async with reporter.job("file-1"):
                raise ValueError("bad file")
    messages = await bench.received(2)
    assert (messages[1].kind, messages[1].text) == ("ERROR", "ValueError: bad file")


async def test_an_exception_without_text_is_named(bench):
    async with bench.reporter() as reporter:
        with pytest.raises(AssertionError):
            async with reporter.job("file-1"):
                raise AssertionError
    assert (await bench.received(2))[1].text == "AssertionError"


async def test_what_stops_the_worker_sends_the_work_back_to_the_queue(bench):
    async with bench.reporter() as reporter:
        with pytest.raises(SystemExit):
            async with reporter.job("file-1"):
                raise SystemExit("terminated")
    messages = await bench.received(2)
    assert (messages[1].kind, messages[1].text) == ("RESUBMITTED", "SystemExit: terminated")


async def test_a_skipped_job_has_no_other_end(bench):
    async with bench.reporter() as reporter, reporter.job("file-1") as job:
        await job.skip("not a picture")
        await job.skip("said already")
    messages = await bench.received(2)
    assert (messages[1].kind, messages[1].text) == ("SKIPPED", "not a picture")


async def test_a_retried_job_has_no_other_end_and_its_numbering_goes_on(bench, names):
    async with bench.reporter() as reporter:
        async with reporter.job("file-1", job_id=names.job()) as job:
            await job.retry("(#1) server is down")
        async with reporter.job("file-1", job_id=names.job()):
            pass
    messages = await bench.received(4)
    assert [m.kind for m in messages] == ["STARTED", "RESUBMITTED", "STARTED", "SUCCEEDED"]
    assert [m.fields["sequence"] for m in messages] == [1, 2, 3, 4]


async def test_a_job_without_an_id_gets_a_uuid(bench):
    async with bench.reporter() as reporter, reporter.job("file-1") as first, reporter.job("file-1") as second:
        assert uuid.UUID(first.job_id) != uuid.UUID(second.job_id)
    assert {m.fields["job_id"] for m in await bench.received(4)} == {first.job_id, second.job_id}


@pytest.mark.parametrize("key", ["jobid", "job_id"])
async def test_job_and_reply_queue_are_taken_from_the_request(bench, names, amqp_url, key):
    properties = pika.BasicProperties(reply_to=names.queue("other"), correlation_id="mark-1")
    body = json.dumps({"id": "file-1", key: names.job(), "user_id": "user-1"})
    with inbox(amqp_url, names.queue("other")) as other:
        async with bench.reporter() as reporter, reporter.job_from_request(body.encode(), properties) as job:
            assert job.job_id == names.job()
        messages = await soon(lambda: other.take_all(2))
    assert {(m.fields["job_id"], m.fields["file_id"], m.fields["user_id"]) for m in messages} == {
        (names.job(), "file-1", "user-1")
    }
    assert {m.properties.correlation_id for m in messages} == {"mark-1"}
    assert bench.inbox.take() == []


async def test_a_request_without_job_id_and_reply_queue_is_reported_all_the_same(bench):
    request = {"id": "file-1", "jobid": None}
    async with bench.reporter() as reporter, reporter.job_from_request(request, pika.BasicProperties()) as job:
        assert uuid.UUID(job.job_id)
    assert [m.fields["job_id"] for m in await bench.received(2)] == [job.job_id] * 2


async def test_a_dataset_request_is_reported_under_the_dataset(bench):
    request = {"id": "trigger", "datasetId": "dataset-1", "routing_key": "clowder.dataset.file.added"}
    async with bench.reporter() as reporter, reporter.job_from_request(request):
        pass
    assert {m.fields["file_id"] for m in await bench.received(2)} == {"dataset-1"}


@pytest.mark.parametrize("body", [b"no json", b"[]", b"{}", '{"id": " "}'])
async def test_a_request_that_names_no_work_is_refused(bench, body):
    async with bench.reporter() as reporter:
        with pytest.raises(DecodeError):
            reporter.job_from_request(body)


async def test_jobs_in_flight_are_those_between_start_and_end(bench, names):
    async with bench.reporter() as reporter:
        assert reporter.jobs_in_flight() == frozenset()
        async with reporter.job("file-1", job_id=names.job("a")), reporter.job("file-2", job_id=names.job("b")):
            assert reporter.jobs_in_flight() == {names.job("a"), names.job("b")}
        assert reporter.jobs_in_flight() == frozenset()


async def test_the_current_job_is_that_of_the_innermost_block(bench, names):
    assert current_job() is None
    async with bench.reporter() as reporter, reporter.job("file-1", job_id=names.job("outer")):
        async with reporter.job("file-2", job_id=names.job("inner")):
            assert current_job().job_id == names.job("inner")
        assert current_job().job_id == names.job("outer")
    assert current_job() is None


async def test_odd_words_and_numbers_arrive_as_something_readable(bench):
    async with bench.reporter() as reporter, reporter.job("fil\udce9") as job:
        await job.progress("lone \udce9 surrogate, NUL \0, snow ☃ 😀")
        await job.progress("nan", percent=float("nan"))
        await job.progress("too much", percent=1e9)
        await job.progress("x" * 5_000_000)
        await job.progress("see http://host/?key=geheim")
    messages = await bench.received(7)
    assert messages[1].text == "lone \\udce9 surrogate, NUL \0, snow ☃ 😀"
    assert [m.fields.get("percent") for m in messages[2:4]] == [None, 100]
    assert len(messages[4].text) < 70_000
    assert messages[4].text.endswith("… (5000000 characters)")
    assert messages[5].text == "see http://host/?key=***"


async def test_a_reporter_starts_and_closes_without_a_broker_and_keeps_what_was_said(bench, names):
    async with bench.reporter(NOBODY_LISTENS) as away:
        async with away.job("file-1", job_id=names.job()) as job:
            await job.progress("alone")
        assert away.unsent == 3
        left = spooled(away._ledger)
        await away.close(0.05)
    async with bench.reporter() as back:
        async with back.job("file-2", job_id=names.job("second")):
            pass
        assert await back.flush(WAIT_S)
    messages = await bench.received(5)
    assert [m.fields for m in messages[:3]] == left
    assert [m.fields["job_id"] for m in messages[3:]] == [names.job("second")] * 2
    assert not [*bench.spool.iterdir()]


async def test_updates_for_a_missing_reply_queue_wait_until_it_is_there_and_hold_up_nobody(
    bench, names, amqp_url, caplog
):
    late = names.queue("late")
    with inbox(amqp_url, late, declare=False) as late_inbox:
        async with bench.reporter() as reporter:
            async with reporter.job("file-1", job_id=names.job("late"), reply_to=late) as job:
                for number in range(20):
                    await job.progress(str(number))
            async with reporter.job("file-2", job_id=names.job("other")):
                pass
            await bench.received(2)
            assert await reporter.flush(WAIT_S)
            assert reporter.unsent == 22
            late_inbox.declare()
            messages = await soon(lambda: late_inbox.take_all(22))
            assert [m.fields["sequence"] for m in messages] == list(range(1, 23))
            await soon(lambda: reporter.unsent == 0)
    complaints = [r for r in caplog.records if getattr(r, "action", "") == "publisher.unroutable"]
    assert len(complaints) == 1


async def test_a_queue_that_refuses_gets_its_updates_in_order_when_it_has_room(bench, names, amqp_url):
    arguments = {"x-max-length": 3, "x-overflow": "reject-publish"}
    with inbox(amqp_url, names.queue("small"), arguments=arguments) as small:
        async with bench.reporter(reply_queue=small.queue) as reporter:
            async with reporter.job("file-1") as job:
                for number in range(8):
                    await job.progress(str(number))
            messages = []
            while len(messages) < 9:
                # Room is made when all in flight are answered: else a later one of them may find it before the refused.
                assert await reporter.flush(WAIT_S)
                unsent = reporter.unsent
                messages = small.take()
                await soon(lambda unsent=unsent: reporter.unsent < unsent or unsent == 0)
    assert [m.fields["sequence"] for m in messages] == list(range(1, 10))
    assert len({m.properties.message_id for m in messages}) == len(messages)


async def test_a_full_spool_drops_the_oldest_progress_only_and_leaves_a_gap(bench, names):
    async with bench.reporter(NOBODY_LISTENS, max_spooled=5) as away:
        async with away.job("file-1", job_id=names.job()) as job:
            for number in range(10):
                await job.progress(str(number))
        assert away.lost == 7
        await away.close(0.05)
    async with bench.reporter() as back:
        assert await back.flush(WAIT_S)
    messages = await bench.received(5)
    assert [m.kind for m in messages] == ["STARTED", "PROCESSING", "PROCESSING", "PROCESSING", "SUCCEEDED"]
    assert [m.fields["sequence"] for m in messages] == [1, 9, 10, 11, 12]


async def test_a_spool_full_of_starts_and_ends_never_takes_the_worker_down(bench, caplog):
    async with bench.reporter(NOBODY_LISTENS, max_spooled=4) as away:
        for number in range(4):
            async with away.job(f"file-{number}") as job:
                await job.progress("no room")
        assert (away.unsent, away.lost) == (4, 8)
        await away.close(0.05)
    assert "publisher.updates_lost" in {getattr(record, "action", None) for record in caplog.records}


async def test_thousands_of_updates_of_several_jobs_keep_each_jobs_order(bench, names):
    async def work(reporter, label: str) -> None:
        async with reporter.job("file", job_id=names.job(label)) as job:
            for number in range(998):
                await job.progress(str(number))

    async with bench.reporter() as reporter:
        await asyncio.gather(*(work(reporter, str(label)) for label in range(3)))
        assert await reporter.flush(WAIT_S)
    messages = await bench.received(3000)
    by_job = {job: list(group) for job, group in itertools.groupby(sorted(messages, key=job_of), key=job_of)}
    assert len(by_job) == 3
    for group in by_job.values():
        assert [m.fields["sequence"] for m in group] == list(range(1, 1001))


async def test_two_replicas_on_one_file_are_two_jobs_and_share_the_spool_folder(bench):
    async with bench.reporter() as one, bench.reporter() as two:
        assert one.instance_id != two.instance_id
        async with one.job("file-1") as first, two.job("file-1") as second:
            await first.progress("one")
            await second.progress("two")
    messages = await bench.received(6)
    assert len({m.fields["job_id"] for m in messages}) == 2
    assert len({m.fields["producer_id"] for m in messages}) == 2


def job_of(message) -> str:
    return message.fields["job_id"]


@pytest.mark.parametrize("kind", [Reporter, AsyncReporter])
def test_a_wrong_url_is_said_at_once_and_without_the_password(kind, tmp_path):
    with pytest.raises(SettingError) as error:
        kind("http://user:geheim@host:5672/", "tests.extractor", spool_path=tmp_path)
    assert "geheim" not in str(error.value)

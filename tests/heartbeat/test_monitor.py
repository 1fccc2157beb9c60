"""The monitor on a real broker and a real database."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from heartbeat.liveness import Basis, online
from heartbeat.monitor import run_monitor
from heartbeat.sender import HeartbeatSender
from models.dead_letter import QUEUE_HEADER, REASON_HEADER
from models.errors import SettingError
from models.settings import Settings
from models.topology import HEARTBEAT_EXCHANGE
from tests.heartbeat.support import body, captured, channel_to, messages_in, publish, running_monitor
from tests.support import WAIT_S, eventually, eventually_async, messages_waiting
from tests.way import Way


@pytest.fixture(autouse=True)
def _frequent_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heartbeat.monitor.FLUSH_INTERVAL_S", 0.2)


async def test_a_real_pyclowders_heartbeats_are_stored_and_acknowledged(settings, amqp_url):
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, *captured())
        instance = await eventually_async(lambda: _first(monitor.repository.instances("ncsa.wordcount")))
        (extractor,) = await monitor.repository.list()
        assert (extractor.name, extractor.version) == ("ncsa.wordcount", "2.0")
        assert extractor.info["@context"] == "http://clowder.ncsa.illinois.edu/contexts/extractors.jsonld"
        assert instance.queue == "ncsa.wordcount"
        assert online(instance, datetime.now(UTC), settings).online
    assert await asyncio.to_thread(messages_waiting, amqp_url, settings.heartbeat_queue) == 0


async def test_bad_heartbeats_go_to_the_dead_letters_untouched_and_good_ones_are_stored(settings, amqp_url):
    bad = [b"", b"\x00\xff", b"[]", b'{"id": "x"}', b"x" * (settings.max_body_bytes + 1), b"[" * 1000]
    mixed = [message for index, wrong in enumerate(bad) for message in (wrong, body("x", f"i{index}"))]
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, *mixed)

        async def all_stored():
            assert len(await monitor.repository.instances("x")) == len(bad)

        await eventually_async(all_stored)
    letters = await asyncio.to_thread(messages_in, amqp_url, settings.dead_letter_queue)
    assert sorted(content for _, content in letters) == sorted(bad)
    reasons = {content[:20]: headers[REASON_HEADER] for headers, content in letters}
    assert reasons[b""] == "empty"
    assert reasons[b'{"id": "x"}'] == "missing_field"
    assert reasons[b"x" * 20] == "too_large"
    assert {headers[QUEUE_HEADER] for headers, _ in letters} == {settings.heartbeat_queue}


async def test_a_bad_heartbeat_is_not_lost_where_the_dead_letter_queue_is_deleted_under_the_monitor(settings, amqp_url):
    async with running_monitor(settings):
        with channel_to(amqp_url) as channel:
            channel.queue_delete(settings.dead_letter_queue)
        await asyncio.to_thread(publish, amqp_url, b"bad")

        async def waits():
            return await asyncio.to_thread(messages_waiting, amqp_url, settings.dead_letter_queue)

        await eventually_async(waits)
    ((_headers, content),) = await asyncio.to_thread(messages_in, amqp_url, settings.dead_letter_queue)
    assert content == b"bad"


async def test_what_the_database_refuses_goes_to_the_dead_letters(settings, amqp_url, mongo_client):
    validator = {"host": {"$ne": "forbidden"}}
    mongo_client[settings.database].create_collection("extractor_instances", validator=validator)
    refused = body("x", "refused", host="forbidden")
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, refused, body("x", "good"))
        await eventually_async(lambda: _first(monitor.repository.instances("x")))
    ((headers, content),) = await asyncio.to_thread(messages_in, amqp_url, settings.dead_letter_queue)
    assert (headers[REASON_HEADER], content) == ("unstorable", refused)


async def test_two_monitors_on_one_queue_register_an_extractor_once(settings, amqp_url, mongo_client):
    async with running_monitor(settings) as one, running_monitor(settings):
        await asyncio.to_thread(publish, amqp_url, *(body("x", f"i{number}") for number in range(50)))

        async def all_stored():
            assert len(await one.repository.instances("x")) == 50

        await eventually_async(all_stored)
        assert len(await one.repository.list()) == 1
    assert mongo_client[settings.database].extractors.count_documents({}) == 1


async def test_ten_thousand_instances_are_stored(settings, amqp_url, mongo_client):
    messages = [body(f"x{number % 40}", f"i{number}", jobs=[f"job-{number}"]) for number in range(10_000)]
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish_unconfirmed, amqp_url, messages)

        async def all_stored():  # counted by the database: to read all of them each time would take the monitor's time
            return mongo_client[settings.database].extractor_instances.count_documents({}) == 10_000

        await eventually_async(all_stored)
        assert len(await monitor.repository.instances()) == 10_000
        assert len(await monitor.repository.list()) == 40


def publish_unconfirmed(amqp_url: str, messages: list[bytes]) -> None:
    with channel_to(amqp_url) as channel:
        for message in messages:
            channel.basic_publish(HEARTBEAT_EXCHANGE, "", message)


async def test_only_the_newest_heartbeats_wait_while_the_monitor_is_down(settings, amqp_url, monkeypatch):
    monkeypatch.setattr("heartbeat.subscription.MAX_WAITING", 1000)
    async with running_monitor(settings):
        pass
    messages = [body("x", "i", jobs=[str(number)]) for number in range(1500)]
    await asyncio.to_thread(publish_unconfirmed, amqp_url, messages)
    await asyncio.to_thread(eventually, lambda: messages_waiting(amqp_url, settings.heartbeat_queue) == 1000)
    async with running_monitor(settings) as monitor:

        async def newest():
            instance = await _first(monitor.repository.instances("x"))
            assert instance
            assert instance.jobs == (str(len(messages) - 1),)

        await eventually_async(newest)


async def test_stale_heartbeats_expire_while_the_monitor_is_down(settings, amqp_url):
    quick = settings.model_copy(update={"instance_timeout_s": 0.25, "heartbeat_interval_s": 0.1})
    async with running_monitor(quick):
        pass
    await asyncio.to_thread(publish, amqp_url, body("x"))
    await asyncio.to_thread(eventually, lambda: messages_waiting(amqp_url, settings.heartbeat_queue) == 0)


async def test_a_changed_timeout_does_not_lock_the_monitor_out_of_its_queue(settings, amqp_url):
    for timeout_s in (60.0, 90.0):
        changed = settings.model_copy(update={"instance_timeout_s": timeout_s})
        async with running_monitor(changed) as monitor:
            await asyncio.to_thread(publish, amqp_url, body("x", f"i{timeout_s}"))
            await eventually_async(lambda: _stored(monitor, f"i{timeout_s}"))  # noqa: B023


async def test_a_dead_letter_queue_made_with_other_arguments_is_used_as_it_is(settings, amqp_url):
    with channel_to(amqp_url) as channel:
        channel.queue_declare(settings.dead_letter_queue, durable=True)
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, body("x", "instance"))
        await eventually_async(lambda: _stored(monitor, "instance"))


async def test_our_senders_clean_stop_shows_as_reported(settings, amqp_url):
    async with running_monitor(settings) as monitor:
        sender = HeartbeatSender(
            amqp_url,
            {"name": "ours", "version": "1"},
            queue="q",
            instance_id=str(uuid4()),
            jobs_in_flight=lambda: {"job-1"},
        )
        with sender:
            instance = await eventually_async(lambda: _first(monitor.repository.instances("ours")))
            assert (instance.jobs, instance.interval_s, instance.pid) == (("job-1",), 10.0, os.getpid())
            assert online(instance, datetime.now(UTC), settings).online

        async def offline():
            (instance,) = await monitor.repository.instances("ours")
            judged = online(instance, datetime.now(UTC), settings)
            assert (judged.online, judged.basis) == (False, Basis.REPORTED)

        await eventually_async(offline)


async def test_health_and_metrics_tell_how_the_monitor_does(settings, amqp_url):
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, body("x"), b"bad")
        await eventually_async(lambda: _first(monitor.repository.instances("x")))
        status, content = await get(monitor.port, "/health")
        assert (status, b'"ok": true' in content) == (200, True)

        async def both_are_counted():
            status, content = await get(monitor.port, "/metrics")
            assert status == 200
            assert b"jobtrail_heartbeats_received_total 2.0" in content
            assert b'jobtrail_heartbeats_rejected_total{reason="not_json"} 1.0' in content

        await eventually_async(both_are_counted)


async def get(port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, content = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), content


@pytest.fixture
def own_settings(own_stack, impatient, tmp_path) -> Settings:
    return Settings(
        amqp_url=SecretStr(own_stack.urls.amqp_url),
        mongo_url=SecretStr(own_stack.urls.mongo_url),
        data_dir=tmp_path,
        monitor_health_port=0,
        retry_max_wait_s=0.5,
        prefetch=600,
    )


@contextmanager
def steady_load(amqp_url: str, instances: int) -> Iterator[None]:
    """Heartbeats of a fleet, from senders that connect again whenever the broker is there."""
    done = threading.Event()

    def send() -> None:
        while not done.is_set():
            try:
                with channel_to(amqp_url) as channel:
                    while not done.is_set():
                        for number in range(instances):
                            channel.basic_publish(HEARTBEAT_EXCHANGE, "", body("x", f"i{number}"))
                        channel.connection.process_data_events(0.1)
            except (pika.exceptions.AMQPError, OSError):
                done.wait(0.1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


async def test_heartbeats_are_stored_again_after_every_outage_and_no_good_one_is_dead_lettered(own_stack, own_settings):
    url = own_stack.urls.amqp_url
    with steady_load(url, 300):
        async with running_monitor(own_settings) as monitor:

            async def fresh_since(moment: datetime) -> None:
                instances = await monitor.repository.instances("x")
                assert len(instances) == 300
                assert all(instance.last_seen > moment for instance in instances)

            async def recovered() -> None:
                moment = datetime.now(UTC)
                await eventually_async(lambda: fresh_since(moment))
                await eventually_async(well)

            async def well() -> None:
                assert (await get(monitor.port, "/health"))[0] == 200

            async def unwell() -> None:
                assert (await get(monitor.port, "/health"))[0] == 503

            await recovered()
            # Not killed: RabbitMQ 3.10 forgets a quorum queue that was declared less than a second before it is killed.
            await asyncio.to_thread(own_stack.rabbitmq.stop)
            await eventually_async(unwell)
            await asyncio.to_thread(own_stack.rabbitmq.start)
            await recovered()
            os.kill(own_stack.mongod.pid, signal.SIGSTOP)
            await asyncio.to_thread(own_stack.mongod.kill)
            await eventually_async(unwell)
            await asyncio.to_thread(own_stack.mongod.start)
            await recovered()
            await asyncio.to_thread(own_stack.mongod.kill)
            await asyncio.to_thread(own_stack.rabbitmq.kill)
            await asyncio.to_thread(own_stack.mongod.start)
            await asyncio.to_thread(own_stack.rabbitmq.start)
            await recovered()
            assert not monitor.task.done()
    assert await asyncio.to_thread(messages_in, url, own_settings.dead_letter_queue) == []


async def test_a_monitor_stops_promptly_while_the_database_is_away_and_leaves_its_heartbeats_in_the_queue(
    own_mongod, impatient, settings, amqp_url
):
    own_settings = settings.model_copy(update={"mongo_url": SecretStr(own_mongod.url)})
    async with running_monitor(own_settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, body("x", "one"))
        await eventually_async(lambda: _stored(monitor, "one"))
        await asyncio.to_thread(own_mongod.kill)
        await asyncio.to_thread(publish, amqp_url, body("x", "two"))

        async def noticed():
            assert (await get(monitor.port, "/health"))[0] == 503

        await eventually_async(noticed)
    await asyncio.to_thread(eventually, lambda: messages_waiting(amqp_url, own_settings.heartbeat_queue) >= 1)
    await asyncio.to_thread(own_mongod.start)
    async with running_monitor(own_settings) as monitor:
        await eventually_async(lambda: _stored(monitor, "two"))


async def test_a_monitor_that_starts_before_its_broker_waits_for_it(settings, amqp_url):
    port = urlsplit(amqp_url).port
    way = Way(port)
    early = settings.model_copy(update={"amqp_url": SecretStr(amqp_url.replace(f":{port}/", f":{way.port}/"))})
    with capture_logs() as logs:
        async with running_monitor(early, wait=False) as monitor:

            async def tried():
                return any(log["action"] == "monitor.broker_lost" for log in logs)

            await eventually_async(tried)
            await way.open()
            await asyncio.wait_for(monitor.ready.wait(), WAIT_S)
            await asyncio.to_thread(publish, amqp_url, body("x", "one"))
            await eventually_async(lambda: _stored(monitor, "one"))
    await way.cut()


@pytest.mark.parametrize("url", ["nonsense", "amqp://a:b@127.0.0.1:port/"])
async def test_a_broker_url_that_is_none_ends_the_monitor_with_a_clear_error(settings, url):
    wrong = settings.model_copy(update={"amqp_url": SecretStr(url)})
    with pytest.raises(SettingError, match="JOBTRAIL_AMQP_URL"):
        await run_monitor(wrong, asyncio.Event())


async def _first(reading):
    found = await reading
    return found[0] if found else False


async def _stored(monitor, instance_id: str) -> bool:
    return instance_id in {instance.instance_id for instance in await monitor.repository.instances("x")}

"""The monitor on a real broker and a real database."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pika
import pytest
from pydantic import SecretStr
from pymongo import MongoClient
from structlog.testing import capture_logs

from jobtrail.broker.channel import Delivery
from jobtrail.heartbeat.inbox import HeartbeatInbox, Reject
from jobtrail.heartbeat.letters import letter_of
from jobtrail.heartbeat.liveness import Basis, online
from jobtrail.heartbeat.monitor import run_monitor
from jobtrail.heartbeat.sender import HeartbeatSender
from jobtrail.heartbeat.subscription import HeartbeatSubscription
from jobtrail.models.errors import BrokerError, SettingError
from jobtrail.models.settings import Settings
from jobtrail.models.topology import HEARTBEAT_EXCHANGE
from tests.heartbeat.support import body, captured, channel_to, publish, running_monitor
from tests.heartbeat.wire import big, nested, publish_raw, sized, table
from tests.support import WAIT_S, client_to, eventually, eventually_async, eventually_holds_async, messages_waiting
from tests.way import Way


@pytest.fixture(autouse=True)
def _frequent_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobtrail.heartbeat.monitor.FLUSH_INTERVAL_S", 0.2)


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


async def test_bad_heartbeats_become_dead_letters_untouched_and_good_ones_are_stored(settings, amqp_url, mongo_client):
    bad = [b"", b"\x00\xff", b"[]", b'{"id": "x"}', b"x" * (settings.max_body_bytes + 1), b"[" * 1000]
    mixed = [message for index, wrong in enumerate(bad) for message in (wrong, body("x", f"i{index}"))]
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, *mixed)
        letters = await eventually_async(lambda: _letters(mongo_client, settings, len(bad)))

        async def all_stored():
            assert len(await monitor.repository.instances("x")) == len(bad)

        await eventually_holds_async(all_stored)
    assert sorted(letter["body"] for letter in letters) == sorted(bad)
    reasons = {letter["body"][:20]: letter["reason"] for letter in letters}
    assert reasons[b""] == "empty"
    assert reasons[b'{"id": "x"}'] == "missing_field"
    assert reasons[b"x" * 20] == "too_large"
    assert {(letter["queue"], letter["origin"], letter["kind"]) for letter in letters} == {
        (settings.heartbeat_queue, settings.heartbeat_queue, "heartbeat")
    }
    assert {letter["origin_exchange"] for letter in letters} == {HEARTBEAT_EXCHANGE}
    await _nothing_waits(settings)


async def test_the_letter_of_a_bad_heartbeat_says_whose_it_is_and_hides_secrets(settings, amqp_url, mongo_client):
    bad = body("x", version="3.1", sent_at="token=s3cr3t")
    async with running_monitor(settings):
        await asyncio.to_thread(publish, amqp_url, bad)
        (letter,) = await eventually_async(lambda: _letters(mongo_client, settings, 1))
    assert (letter["extractor_id"], letter["version"], letter["reason"]) == ("x", "3.1", "bad_time")
    assert "s3cr3t" not in letter["error"]
    (cause,) = mongo_client[settings.database].dead_letter_causes.find()
    assert (cause["_id"], cause["counts"]) == (letter["cause_id"], {"open": 1})


async def test_what_the_database_refuses_becomes_a_dead_letter(settings, amqp_url, mongo_client):
    validator = {"host": {"$ne": "forbidden"}}
    mongo_client[settings.database].create_collection("extractor_instances", validator=validator)
    refused = body("x", "refused", host="forbidden")
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, refused, body("x", "good"))
        await eventually_async(lambda: _stored(monitor, "good"))
        (letter,) = await eventually_async(lambda: _letters(mongo_client, settings, 1))
    assert (letter["reason"], letter["body"]) == ("unstorable", refused)


async def test_a_bad_heartbeat_that_the_dead_letters_refuse_becomes_a_stub(settings, amqp_url, mongo_client):
    mongo_client[settings.database].create_collection("dead_letters", validator={"extractor_id": {"$ne": "forbidden"}})
    bad = [body(f"x{number}", sent_at="never") for number in range(20)]
    bad[7] = body("forbidden", sent_at="never", host="h" * 5000)
    with capture_logs() as logs:
        async with running_monitor(settings):
            await asyncio.to_thread(publish, amqp_url, *bad)
            letters = await eventually_async(lambda: _letters(mongo_client, settings, 20))
    (stub,) = [letter for letter in letters if letter["reason"] == "unstorable"]
    assert (stub["body"], stub["properties"], stub["origin_exchange"]) == (bad[7][:4096], b"", "")
    assert "validation" in stub["error"]
    assert {letter["reason"] for letter in letters} == {"unstorable", "bad_time"}
    assert not [log for log in logs if log["action"] == "monitor.letter_lost"]
    await _nothing_waits(settings)


async def test_a_bad_heartbeat_of_which_not_even_a_stub_is_taken_stops_nothing(settings, amqp_url, mongo_client):
    validator = {"extractor_id": {"$ne": "forbidden"}, "reason": {"$ne": "unstorable"}}
    mongo_client[settings.database].create_collection("dead_letters", validator=validator)
    bad = [body(f"x{number}", sent_at="never") for number in range(20)]
    bad[7] = body("forbidden", sent_at="never")
    with capture_logs() as logs:
        async with running_monitor(settings) as monitor:
            await asyncio.to_thread(publish, amqp_url, *bad, body("x", "good"))
            letters = await eventually_async(lambda: _letters(mongo_client, settings, 19))
            await eventually_async(lambda: _stored(monitor, "good"))
    assert "forbidden" not in {letter["extractor_id"] for letter in letters}
    (lost,) = [log for log in logs if log["action"] == "monitor.letter_lost"]
    assert "validation" in lost["error"]
    assert lost["body_bytes"] == len(bad[7])
    await _nothing_waits(settings)


async def test_a_bad_heartbeat_that_is_sent_again_and_again_is_one_letter_a_minute(settings, amqp_url, mongo_client):
    begun_at = datetime.now(UTC)
    async with running_monitor(settings) as monitor:
        for number in range(3):
            await asyncio.to_thread(publish, amqp_url, b"bad", b"bad", body("x", f"i{number}"))
            await eventually_async(lambda: _stored(monitor, f"i{number}"))  # noqa: B023
        await eventually_async(lambda: _letters(mongo_client, settings, None))
    minutes = {moment.replace(second=0, microsecond=0) for moment in (begun_at, datetime.now(UTC))}
    assert 1 <= len(await _letters(mongo_client, settings, None)) <= len(minutes)


async def test_bad_heartbeats_whose_acknowledgement_is_lost_are_not_stored_twice(
    settings, amqp_url, mongo_client, monkeypatch
):
    acknowledge, lost = HeartbeatSubscription.acknowledge, []

    def lose_the_first(subscription: HeartbeatSubscription, last_tag: int) -> None:
        if last_tag and not lost:
            lost.append(last_tag)
            raise BrokerError("cut")
        acknowledge(subscription, last_tag)

    monkeypatch.setattr(HeartbeatSubscription, "acknowledge", lose_the_first)
    # As if a minute passed each time.
    monkeypatch.setattr("jobtrail.heartbeat.monitor.letter_of", lambda *of: replace(letter_of(*of), key=uuid4().hex))
    async with running_monitor(settings) as monitor:
        await asyncio.to_thread(publish, amqp_url, b"bad", body("x", "one"))
        await eventually_async(lambda: _letters(mongo_client, settings, 1))
        await asyncio.to_thread(publish, amqp_url, body("x", "two"))
        await eventually_async(lambda: _stored(monitor, "two"))
    assert lost
    await _letters(mongo_client, settings, 1)
    await _nothing_waits(settings)


POISON: dict[str, tuple[bytes | str, bytes]] = {
    "a routing key that is not UTF-8": (b"\xff\xfe\x80", b"\x00\x00"),
    "a header's name that is not UTF-8": ("", table(b"\x03\xff\xfe\x80" + b"t\x01")),
    "a header's text that is not UTF-8": ("", table(b"\x01aS" + sized(b"\xff\xfe"))),
    "a header of a type that nobody knows": ("", table(b"\x01aQ" + b"\x00" * 8)),
    "a header of a time beyond all calendars": ("", table(b"\x01aT" + b"\xff" * 8)),
    "a message id that is not UTF-8": ("", b"\x00\x80" + b"\x02\xff\xfe"),
    "tables within tables": ("", table(nested(200))),
    **{f"headers of {size:,} bytes": ("", table(big(size))) for size in (4_000, 65_535, 130_000, 130_900, 131_020)},
}


async def test_no_routing_key_and_no_properties_end_the_connection_whatever_the_heartbeat(
    settings, amqp_url, mongo_client
):
    with capture_logs() as logs:
        async with running_monitor(settings) as monitor:
            sent = {}
            for number, (key, raw) in enumerate(POISON.values()):
                if await asyncio.to_thread(publish_raw, amqp_url, key, raw, body("x", f"i{number}")):
                    assert await asyncio.to_thread(publish_raw, amqp_url, key, raw, b"bad %d" % number)
                    sent[number] = raw
            assert len(sent) >= len(POISON) - 2, "this broker takes nearly all of them"
            letters = await eventually_async(lambda: _letters(mongo_client, settings, len(sent)))

            async def all_stored():
                stored = {instance.instance_id for instance in await monitor.repository.instances("x")}
                assert stored == {f"i{number}" for number in sent}

            await eventually_holds_async(all_stored)
    assert {bytes(letter["body"]): bytes(letter["properties"]) for letter in letters} == {
        b"bad %d" % number: raw for number, raw in sent.items()
    }
    assert not [log for log in logs if log["action"] == "monitor.broker_lost"]
    (strange,) = [letter for letter in letters if letter["body"] == b"bad 0"]
    assert strange["origin_routing_key"] == r"\xff\xfe\x80"
    await _nothing_waits(settings)


async def test_bad_heartbeats_are_stored_during_a_brokers_memory_alarm(own_rabbitmq, settings, mongo_client):
    own_settings = settings.model_copy(update={"amqp_url": SecretStr(own_rabbitmq.url)})
    async with running_monitor(own_settings):
        pass
    await asyncio.to_thread(publish, own_rabbitmq.url, b"bad", body("x", "one"))
    await asyncio.to_thread(own_rabbitmq.control, "set_vm_memory_high_watermark", "0.00001")
    async with running_monitor(own_settings) as monitor:
        await eventually_async(lambda: _letters(mongo_client, settings, 1))
        await eventually_async(lambda: _stored(monitor, "one"))
    await _nothing_waits(own_settings)


async def test_large_heartbeats_are_not_piled_up(settings, amqp_url, mongo_client, monkeypatch):
    monkeypatch.setattr("jobtrail.heartbeat.inbox.MAX_BATCH_BYTES", 1_000_000)
    held = []
    taking = HeartbeatInbox.add

    def add(inbox: HeartbeatInbox, delivery: Delivery) -> Reject | None:
        reject = taking(inbox, delivery)
        held.append(inbox._batch.size_bytes)
        return reject

    monkeypatch.setattr(HeartbeatInbox, "add", add)
    bad = [b"%d" % number + b"x" * 200_000 for number in range(60)]
    async with running_monitor(settings):
        await asyncio.to_thread(publish, amqp_url, *bad)
        await eventually_async(lambda: _letters(mongo_client, settings, len(bad)))
    assert len(held) == len(bad)
    assert max(held) < 3_000_000, "what was read together when it was full comes on top"


async def test_what_can_not_be_held_while_the_database_is_away_stays_in_the_queue(
    own_mongod, impatient, settings, amqp_url, mongo_client, monkeypatch
):
    monkeypatch.setattr("jobtrail.heartbeat.inbox.MAX_BATCH_BYTES", 1_000_000)
    own_settings = settings.model_copy(update={"mongo_url": SecretStr(own_mongod.url)})
    bad = [b"%d" % number + b"x" * 200_000 for number in range(40)]
    with capture_logs() as logs:
        async with running_monitor(own_settings) as monitor:
            await asyncio.to_thread(publish, amqp_url, body("x", "one"))
            await eventually_async(lambda: _stored(monitor, "one"))
            await asyncio.to_thread(own_mongod.kill)
            await asyncio.to_thread(publish, amqp_url, *bad, body("x", "two"))

            async def full():
                return any(log["action"] == "monitor.full" for log in logs)

            await eventually_async(full)
            await asyncio.to_thread(own_mongod.start)
            await eventually_async(lambda: _stored(monitor, "two"))
            with client_to(own_mongod.url) as client:
                letters = await eventually_async(lambda: _letters(client, own_settings, len(bad)))
            assert sorted(letter["body"] for letter in letters) == sorted(bad)


async def test_two_monitors_on_one_queue_register_an_extractor_once(settings, amqp_url, mongo_client):
    async with running_monitor(settings) as one, running_monitor(settings):
        await asyncio.to_thread(publish, amqp_url, *(body("x", f"i{number}") for number in range(50)))

        async def all_stored():
            assert len(await one.repository.instances("x")) == 50

        await eventually_holds_async(all_stored)
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
    monkeypatch.setattr("jobtrail.heartbeat.subscription.MAX_WAITING", 1000)
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

        await eventually_holds_async(newest)


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

        await eventually_holds_async(offline)


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

        await eventually_holds_async(both_are_counted)


async def get(port: int, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
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
                await eventually_holds_async(lambda: fresh_since(moment))
                await eventually_holds_async(well)

            async def well() -> None:
                assert (await get(monitor.port, "/health"))[0] == 200

            async def unwell() -> None:
                assert (await get(monitor.port, "/health"))[0] == 503

            await recovered()
            # Not killed: RabbitMQ 3.10 forgets a quorum queue that was declared less than a second before it is killed.
            await asyncio.to_thread(own_stack.rabbitmq.stop)
            await eventually_holds_async(unwell)
            await asyncio.to_thread(own_stack.rabbitmq.start)
            await recovered()
            os.kill(own_stack.mongod.pid, signal.SIGSTOP)
            await asyncio.to_thread(own_stack.mongod.kill)
            await eventually_holds_async(unwell)
            await asyncio.to_thread(own_stack.mongod.start)
            await recovered()
            await asyncio.to_thread(own_stack.mongod.kill)
            await asyncio.to_thread(own_stack.rabbitmq.kill)
            await asyncio.to_thread(own_stack.mongod.start)
            await asyncio.to_thread(own_stack.rabbitmq.start)
            await recovered()
            assert not monitor.task.done()
    with client_to(own_stack.urls.mongo_url) as client:
        assert await _letters(client, own_settings, None) == []


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

        await eventually_holds_async(noticed)
    await asyncio.to_thread(eventually, lambda: messages_waiting(amqp_url, own_settings.heartbeat_queue) >= 1)
    await asyncio.to_thread(own_mongod.start)
    async with running_monitor(own_settings) as monitor:
        await eventually_async(lambda: _stored(monitor, "two"))


async def test_a_broker_that_falls_silent_is_noticed_within_twenty_seconds(own_rabbitmq, settings):
    own_settings = settings.model_copy(update={"amqp_url": SecretStr(own_rabbitmq.url)})
    async with running_monitor(own_settings) as monitor:

        async def status():
            return (await get(monitor.port, "/health"))[0]

        async def unwell():
            assert await status() == 503

        async def well():
            assert await status() == 200

        await eventually_holds_async(well)
        os.kill(own_rabbitmq.pid, signal.SIGSTOP)
        try:
            await eventually_holds_async(unwell, timeout_s=20.0)
        finally:
            os.kill(own_rabbitmq.pid, signal.SIGCONT)
        await eventually_holds_async(well)
        await asyncio.to_thread(publish, own_rabbitmq.url, body("x", "one"))
        await eventually_async(lambda: _stored(monitor, "one"))


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
    with pytest.raises(SettingError, match="invalid broker URL"):
        await run_monitor(wrong, asyncio.Event())


async def _first(reading):
    found = await reading
    return found[0] if found else False


async def _stored(monitor, instance_id: str) -> bool:
    return instance_id in {instance.instance_id for instance in await monitor.repository.instances("x")}


async def _letters(client: MongoClient[dict[str, Any]], settings: Settings, count: int | None) -> list[dict[str, Any]]:
    """The dead letters, when there are as many as expected."""
    letters = await asyncio.to_thread(lambda: list(client[settings.database].dead_letters.find()))
    assert count is None or len(letters) == count
    return letters


async def _nothing_waits(settings: Settings) -> None:
    """All was acknowledged; asked when the monitor is gone."""
    url = settings.require_amqp_url()
    assert await asyncio.to_thread(messages_waiting, url, settings.heartbeat_queue) == 0
    assert await asyncio.to_thread(messages_waiting, url, settings.dead_letter_queue) == 0

"""Whatever is in a dead-letter queue becomes a letter: once, to the bit, with where from, why, when and how often."""

import asyncio
import struct
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import pika
import pytest

from jobtrail.broker.channel import Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.inbox import MAX_WAITING_BYTES, Inbox
from jobtrail.broker.properties import decode
from jobtrail.deadletters import letter_maker
from jobtrail.models.settings import Settings
from jobtrail.models.topology import error_queue
from tests.deadletters.conftest import (
    Document,
    LetterBench,
    declare,
    packed,
    publish_all,
    running,
    update_body,
)
from tests.support import WAIT_S, Names, eventually, eventually_async, messages_waiting

AT = datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC)
HEADERS = {
    "yes": True,
    "small": 7,
    "large": 2**60,
    "negative": -(2**40),
    "double": 0.1,
    "huge": 1e300,
    "decimal": Decimal("-12.345"),
    "text": "Größe",
    "bytes": bytearray(b"\x00\xff\xfe"),
    "nothing": None,
    "time": AT,
    "list": [1, "two", {"three": [3.3]}],
    "table": {"inner": {"innermost": bytearray(b"\x80")}, "at": AT},
    "n" * 200: "a long name",
}
EVERYTHING = packed(
    content_type="application/json",
    content_encoding="utf-8",
    headers=HEADERS,
    delivery_mode=2,
    priority=9,
    correlation_id="corr-1",
    reply_to="somewhere",
    expiration="86400000",
    message_id="message-1",
    timestamp=AT,
    type="a type",
    app_id="an app",
)


def naming(settings: Settings, *queues: str) -> Settings:
    return settings.model_copy(update={"capture_queues": ",".join(queues)})


async def captured(bench: LetterBench, count: int) -> list[Document]:
    """Wait for so many letters."""

    def letters() -> list[Document]:
        found = bench.letters()
        assert len(found) >= count, f"{len(found)} of {count} letters"
        return found

    return await asyncio.to_thread(eventually, letters)


async def test_bytes_and_properties_are_kept_to_the_bit(settings: Settings, names: Names, bench: LetterBench) -> None:
    queue = names.queue("their-letters")
    no_utf8 = bytes.fromhex("0480") + b"\x03\xff\xfe\xfd" + b"\x02\xe4\xf6"  # correlation and message id
    far_future = bytes.fromhex("0040") + struct.pack(">Q", 10**17)
    float_and_unsigned = b"f" + struct.pack(">f", 0.3) + b"\x01u" + b"B\xff"
    table = b"\x01f" + float_and_unsigned + b"\x01s" + b"S" + struct.pack(">I", 2) + b"\xff\xfe"
    odd_types = bytes.fromhex("2000") + struct.pack(">I", len(table)) + table
    messages = [
        (EVERYTHING, update_body("job-1")),
        (no_utf8, b"\xe4\xf6\xfc in Latin-1"),
        (far_future, bytes(range(256))),
        (odd_types, b""),
        (b"\0\0", b"no properties at all"),
        (packed(headers={"x": "large"}), b"\x01\x02\x03\x04" * (5 * 1024 * 1024)),
    ]
    await declare(settings, queue)
    await publish_all(settings, queue, messages)
    async with running(naming(settings, queue), consumer=False):
        letters = await captured(bench, len(messages))

    assert [letter["properties"] for letter in letters] == [raw for raw, _body in messages]
    parts = bench.database["dead_letter_parts"].find({"letter": letters[-1]["_id"]}).sort("number", 1)
    bodies = [letter["body"] for letter in letters[:-1]] + [b"".join(part["data"] for part in parts)]
    assert bodies == [body for _raw, body in messages]
    assert [letter["size_bytes"] for letter in letters] == [len(body) for _raw, body in messages]
    assert decode(letters[0]["properties"]).headers == HEADERS
    assert {letter["reason"] for letter in letters} == {"untold"}
    assert letters[0]["job_id"] == "job-1"


async def test_a_letter_that_an_earlier_version_put_into_the_inbox_tells_why_and_where_from(
    settings: Settings, bench: LetterBench
) -> None:
    _ = bench.channel  # declares the queues
    headers = {
        "jobtrail-reason": "not_json",
        "jobtrail-error": "EOF",
        "jobtrail-queue": "jobtrail.replies",
        "jobtrail-exchange": "",
        "jobtrail-routing-key": "jobtrail.replies",
        "jobtrail-received-at": "2026-11-22T00:14:36.000+00:00",
        "jobtrail-seq": 7,
    }
    await publish_all(settings, settings.dead_letter_queue, [(packed(headers=headers), b"{")])
    async with running(settings, consumer=False):
        (letter,) = await captured(bench, 1)

    assert (letter["kind"], letter["reason"], letter["body"]) == ("update", "not_json", b"{")
    assert (letter["queue"], letter["origin"]) == (settings.dead_letter_queue, "jobtrail.replies")
    assert (letter["origin_seq"], letter["origin_routing_key"]) == (7, "jobtrail.replies")
    assert (letter["error"], letter["happened_at"]) == ("EOF", AT)


def test_letters_of_other_services_tell_by_x_death_where_why_and_how_often(
    settings: Settings, names: Names, bench: LetterBench
) -> None:
    work, wait, parked = names.queue("work"), names.queue("wait"), names.queue("parked")
    rejects = names.exchange("rejects")
    channel = bench.channel
    channel.exchange_declare(rejects, "fanout")
    channel.queue_declare(work, durable=True, arguments={"x-dead-letter-exchange": rejects})
    waits = {"x-message-ttl": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": work}
    channel.queue_declare(wait, durable=True, arguments=waits)
    channel.queue_declare(parked, durable=True)
    channel.queue_bind(wait, rejects)
    channel.basic_publish("", work, b"round")
    reject(bench, work)
    reject(bench, work)
    method, _properties, _body = eventually(lambda: taken(bench, work))
    channel.queue_bind(parked, rejects)
    channel.queue_unbind(wait, rejects)
    channel.basic_reject(method.delivery_tag, requeue=False)
    expiring = {"x-message-ttl": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": parked}
    channel.queue_declare(names.queue("hasty"), durable=True, arguments=expiring)
    channel.basic_publish("", names.queue("hasty"), b"too late")
    full = {"x-max-length": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": parked}
    channel.queue_declare(names.queue("full"), durable=True, arguments=full)
    for body in (b"pushed out", b"the last one"):
        channel.basic_publish("", names.queue("full"), body)
    eventually(lambda: channel.queue_declare(parked, passive=True).method.message_count == 3)
    asyncio.run(capture(naming(settings, parked), bench, 3))

    letters = {bytes(letter["body"]): letter for letter in bench.letters()}
    round_trip = letters[b"round"]
    assert (round_trip["origin"], round_trip["reason"], round_trip["kind"]) == (work, "rejected", "other")
    assert round_trip["deaths"] == 5, "rejected three times, and twice the wait was over"
    assert round_trip["error"] == f"expired in {wait}, then rejected in {work}"
    assert round_trip["origin_routing_key"] == work
    assert abs((round_trip["happened_at"] - round_trip["captured_at"]).total_seconds()) < WAIT_S
    assert (letters[b"too late"]["origin"], letters[b"too late"]["reason"]) == (names.queue("hasty"), "expired")
    assert (letters[b"pushed out"]["origin"], letters[b"pushed out"]["reason"]) == (names.queue("full"), "maxlen")
    assert [letters[body]["deaths"] for body in (b"too late", b"pushed out")] == [1, 1]


def taken(bench: LetterBench, queue: str) -> tuple[pika.spec.Basic.GetOk, pika.BasicProperties, bytes]:
    got = bench.channel.basic_get(queue)
    assert got[0] is not None
    return got


def reject(bench: LetterBench, queue: str) -> None:
    method, _properties, _body = eventually(lambda: taken(bench, queue))
    bench.channel.basic_reject(method.delivery_tag, requeue=False)


async def capture(settings: Settings, bench: LetterBench, count: int) -> None:
    async with running(settings, consumer=False):
        await captured(bench, count)


async def test_requests_that_workers_gave_up_are_letters_of_the_workers_queue(
    settings: Settings, names: Names, bench: LetterBench
) -> None:
    worker = names.extractor("ncsa.test")
    await declare(settings, error_queue(worker))
    requests = [
        (packed(reply_to="replies", correlation_id="c"), b'{"id": "file-1", "jobid": "job-1", "retry_count": 10}'),
        (packed(), b'{"id": "file-2", "host": "http://clowder", "secretKey": "s3cr3t"}'),
    ]
    await publish_all(settings, error_queue(worker), requests)
    async with running(naming(settings, error_queue(worker))):
        first, second = await captured(bench, 2)

    for letter in (first, second):
        assert (letter["kind"], letter["reason"]) == ("request", "gave_up")
        assert (letter["origin"], letter["extractor_id"]) == (worker, worker)
    assert (first["job_id"], first["correlation_id"], first["deaths"]) == ("job-1", "c", 11)
    assert ("job_id" in second, second["deaths"]) == (False, 1)


async def test_a_request_that_is_taken_before_the_end_of_its_job_is_stored_waits_for_what_went_wrong(
    settings: Settings, names: Names, bench: LetterBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letter_maker, "_END_WITHIN_S", WAIT_S)
    _ = bench.channel
    worker, url = names.extractor("ncsa.test"), settings.require_amqp_url()
    await declare(settings, error_queue(worker))
    await publish_all(settings, error_queue(worker), [(packed(), b'{"id": "file-1", "jobid": "job-1"}')])
    named = naming(settings, error_queue(worker))
    async with running(named, consumer=False):
        await asyncio.to_thread(eventually, lambda: messages_waiting(url, error_queue(worker)) == 0)
        assert bench.letters() == []
        async with running(named, letters=False):
            ends = [update_body("job-1", status=status) for status in ("STARTED: go", "ERROR: No such file: poem.txt")]
            await publish_all(settings, settings.reply_stream, [(packed(), body) for body in ends])
            (letter,) = await captured(bench, 1)
    assert letter["error"] == "No such file: poem.txt"


async def test_equal_messages_without_ids_are_two_letters_and_a_repeated_one_of_the_consumer_is_one(
    settings: Settings, bench: LetterBench
) -> None:
    _ = bench.channel
    ours = {
        "jobtrail-reason": "not_json",
        "jobtrail-queue": settings.reply_stream,
        "jobtrail-seq": 5,
        "jobtrail-received-at": "no time",
    }
    letter = (packed(headers=ours, message_id="replies/5"), b"{")
    same = (packed(), b"the same")
    await publish_all(settings, settings.dead_letter_queue, [same, letter, same, letter])
    async with running(settings, consumer=False):
        await eventually_async(lambda: counted(bench, handed_out=4))

    assert [bytes(letter["body"]) for letter in bench.letters()] == [b"the same", b"{", b"the same"]
    assert bench.database["tallies"].find_one({}, {"_id": 0, "stored": 1, "duplicates": 1}) == {
        "stored": 3,
        "duplicates": 1,
    }


async def counted(bench: LetterBench, **wanted: int) -> bool:
    return bench.database["tallies"].find_one(wanted) is not None


async def test_queues_are_only_drained_when_they_are_named_and_once_they_are_there(
    settings: Settings, names: Names, bench: LetterBench
) -> None:
    unnamed, later = names.queue("unnamed"), names.queue("later")
    await declare(settings, unnamed)
    _ = bench.channel
    await publish_all(settings, unnamed, [(packed(), b"theirs")])
    async with running(naming(settings, later), consumer=False):
        await publish_all(settings, settings.dead_letter_queue, [(packed(), b"ours")])
        await captured(bench, 1)
        await declare(settings, later)
        await publish_all(settings, later, [(packed(), b"named")])
        await captured(bench, 2)

    assert [bytes(letter["body"]) for letter in bench.letters()] == [b"ours", b"named"]
    assert bench.channel.queue_declare(unnamed, passive=True).method.message_count == 1


def test_letters_keep_the_group_and_the_sender_of_their_message(
    settings: Settings, names: Names, bench: LetterBench
) -> None:
    queue = names.queue("theirs")
    bench.channel.queue_declare(queue, durable=True)
    bodies = [
        update_body(f"job-{n}", extractor_info={"name": f"ncsa.{n % 3}", "version": f"1.{n % 2}"}) for n in range(12)
    ]
    publish(bench, queue, *bodies)
    asyncio.run(capture(naming(settings, queue), bench, 12))

    groups = {(group["extractor_id"], group["version"]): group["counts"] for group in bench.groups()}
    assert groups == {(f"ncsa.{n}", f"1.{m}"): {"open": 2} for n in range(3) for m in range(2)}


def publish(bench: LetterBench, queue: str, *bodies: bytes) -> None:
    for body in bodies:
        bench.channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))


class PausedOrNot:
    """A connection of which only that is of interest."""

    def __init__(self) -> None:
        self.paused = False

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False


def test_nothing_more_is_read_while_too_many_bytes_wait() -> None:
    connection = PausedOrNot()
    inbox = Inbox(cast("Connection", connection))
    body = bytes(MAX_WAITING_BYTES // 4)
    for tag in range(1, 4):
        inbox.put(Delivery(body, b"\0\0", tag, redelivered=False, exchange="", routing_key=""))
    assert not connection.paused
    inbox.put(Delivery(body, b"\0\0", 4, redelivered=False, exchange="", routing_key=""))
    assert connection.paused

    first = inbox.take(500, len(body))
    assert [delivery.tag for delivery in first] == [1], "one alone, though it is larger"
    inbox.release(first)
    assert connection.paused, "more than half is left"
    others = inbox.take(2, MAX_WAITING_BYTES)
    assert [delivery.tag for delivery in others] == [2, 3]
    assert connection.paused, "they are still in memory"
    inbox.release(others)
    assert not connection.paused
    assert inbox.arrived.is_set()
    assert [delivery.tag for delivery in inbox.take(2, MAX_WAITING_BYTES)] == [4]
    assert not inbox.arrived.is_set()

"""Whatever somebody sends becomes a letter, bytes untouched, and never keeps capture from the next message."""

import asyncio
import struct

import pika
import pytest
from pika import spec

from jobtrail.broker.frames import RawProperties
from jobtrail.models.settings import Settings
from tests.deadletters.conftest import Document, LetterBench, running, update_body
from tests.support import Names, eventually, messages_waiting, next_message

FRAME_MAX = 131_072
LARGEST = FRAME_MAX - 8 - 12
"""Bytes of properties that fit into a frame: it has 8 bytes of its own, and 12 are the class and the body's size."""
NO_UTF8 = b"\xff\xfe\x80"


def table(*entries: bytes) -> bytes:
    """Properties with nothing but these headers: names with their lengths, and values with their types."""
    joined = b"".join(entries)
    return b"\x20\x00" + struct.pack(">I", len(joined)) + joined


def header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + value


def text(size: int) -> bytes:
    return b"S" + struct.pack(">I", size) + b"x" * size


def nested(depth: int) -> bytes:
    value = b"V"
    for _ in range(depth):
        inside = header(b"n", value)
        value = b"F" + struct.pack(">I", len(inside)) + inside
    return value


OVERHEAD = len(table(header(b"h", text(0))))
POISON = {
    "largest": table(header(b"h", text(LARGEST - OVERHEAD))),
    "nearly the largest": table(header(b"h", text(LARGEST - OVERHEAD - 30))),
    "a header's name": table(header(NO_UTF8, text(1))),
    "a header's value": table(header(b"h", b"S" + struct.pack(">I", 3) + NO_UTF8)),
    "types": table(
        *(
            header(b"%d" % n, value)
            for n, value in enumerate([b"b\x80", b"B\x80", b"s\x80\0", b"u\x80\0", b"i" + b"\xff" * 4])
        ),
        *(
            header(b"x%d" % n, value)
            for n, value in enumerate([b"l" + b"\xff" * 8, b"f" + struct.pack(">f", 0.3), b"T" + b"\xff" * 8])
        ),
        header(b"decimal", b"D\xff" + b"\x80\0\0\0"),
    ),
    "deep": table(header(b"deep", nested(300))),
    "ids": b"\x04\x80" + bytes([3]) + NO_UTF8 + bytes([3]) + NO_UTF8,
    "our headers": table(
        header(b"jobtrail-queue", text(3)),
        header(b"jobtrail-reason", b"S" + struct.pack(">I", 3) + NO_UTF8),
        header(b"jobtrail-seq", b"l" + struct.pack(">q", -5)),
        header(b"jobtrail-letter", text(24)),
        header(b"jobtrail-received-at", text(40)),
    ),
    "deaths": table(header(b"x-death", b"A" + struct.pack(">I", 2) + b"VV")),
    "no deaths": table(header(b"x-death", b"A" + struct.pack(">I", 0))),
}
BODIES = [
    b"",
    b"\x00" * 70_000,
    b"[" * 100_000,
    b'{"job_id": "\\ud800", "extractor_id": "\\udfff"}',
    b'{"job_id": "a\\u0000b", "extractor_info": {"name": "\\u0000", "version": 1e400}}',
    b'{"retry_count": 1e309, "host": 1, "jobid": {"a": []}}',
]


def publish_raw(bench: LetterBench, queue: str, *messages: tuple[bytes, bytes]) -> None:
    for raw, body in messages:
        bench.channel.basic_publish("", queue, body, RawProperties(raw))


async def captured(bench: LetterBench, count: int) -> list[Document]:
    def letters() -> list[Document]:
        found = bench.letters()
        assert len(found) >= count, f"{len(found)} of {count} letters"
        return found

    return await asyncio.to_thread(eventually, letters)


@pytest.fixture(params=["quorum", "classic"])
def queue(request: pytest.FixtureRequest, names: Names, bench: LetterBench) -> str:
    """Somebody's dead-letter queue; the name is that of an error queue, whose letters are looked into most."""
    queue = f"error.{names.queue('theirs')}"
    bench.channel.queue_declare(queue, durable=True, arguments={"x-queue-type": request.param})
    return queue


async def test_any_properties_and_bodies_are_captured_as_they_are(
    settings: Settings, queue: str, bench: LetterBench
) -> None:
    messages = [(raw, b"%d" % number) for number, raw in enumerate(POISON.values())]
    messages += [(b"\0\0", body) for body in BODIES]
    publish_raw(bench, queue, *messages, (b"\0\0", b"the last one"))
    async with running(settings.model_copy(update={"capture_queues": queue}), consumer=False):
        letters = await captured(bench, len(messages) + 1)

    assert [(letter["properties"], letter["body"]) for letter in letters[:-1]] == messages
    assert letters[-1]["body"] == b"the last one"
    assert messages_waiting(settings.require_amqp_url(), queue) == 0


async def test_the_largest_properties_are_captured_too_when_the_broker_has_added_its_count_to_them(
    settings: Settings, queue: str, bench: LetterBench
) -> None:
    publish_raw(bench, queue, (POISON["largest"], b"first"), (b"\0\0", b"second"))
    for _ in range(2):
        method, _properties, _body = next_message(bench.channel, queue)
        bench.channel.basic_nack(method.delivery_tag, requeue=True)
    async with running(settings.model_copy(update={"capture_queues": queue}), consumer=False):
        letters = await captured(bench, 2)

    assert [letter["body"] for letter in letters] == [b"first", b"second"]
    assert POISON["largest"][-1000:] in letters[0]["properties"]


async def test_a_routing_key_may_be_any_bytes_and_an_exchange_any_text(
    settings: Settings, queue: str, names: Names, bench: LetterBench
) -> None:
    exchange = names.exchange("odd \0 \u202e \U0001f4a5")
    bench.channel.exchange_declare(exchange, "fanout")
    bench.channel.queue_bind(queue, exchange)
    # The driver's checks want text.
    odd = spec.Basic.Publish(exchange=exchange, routing_key=NO_UTF8)
    bench.channel._impl._send_method(odd, (pika.BasicProperties(), b"odd"))
    bench.channel.basic_publish("", queue, b"even")
    async with running(settings.model_copy(update={"capture_queues": queue}), consumer=False):
        letters = await captured(bench, 2)

    assert [letter["body"] for letter in letters] == [b"odd", b"even"]
    assert letters[0]["origin_routing_key"] == r"\xff\xfe\x80"


async def test_a_letter_that_the_database_refuses_keeps_its_bytes_and_stops_no_other(
    settings: Settings, names: Names, bench: LetterBench
) -> None:
    queue = names.queue("theirs")
    bench.channel.queue_declare(queue, durable=True)
    bench.database.create_collection("dead_letters", validator={"job_id": {"$ne": "job-3"}})
    bodies = [update_body(f"job-{number}") for number in range(8)]
    publish_raw(bench, queue, *[(b"\0\0", body) for body in bodies])
    async with running(settings.model_copy(update={"capture_queues": queue}), consumer=False):
        letters = await captured(bench, 8)

    assert [letter["body"] for letter in letters] == bodies
    assert [letter["reason"] for letter in letters] == ["untold"] * 3 + ["unstorable"] + ["untold"] * 4
    assert "job_id" not in letters[3]
    assert "validation" in letters[3]["error"]
    assert sum(group["counts"]["open"] for group in bench.groups()) == 8

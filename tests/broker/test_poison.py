"""What is called poison costs the connection on the real broker, and what is not does not."""

import struct
from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika.exceptions import AMQPError

from jobtrail.broker.frames import RawProperties
from jobtrail.broker.poison import MAX_PROPERTIES_BYTES, poison_in
from jobtrail.broker.properties import encode
from tests.support import Names


def sized(kind: bytes, content: bytes) -> bytes:
    return kind + len(content).to_bytes(4, "big") + content


def with_header(value: bytes, name: bytes = b"h", rest: bytes = b"") -> bytes:
    return b"\x20\0" + sized(b"", bytes([len(name)]) + name + value) + rest


def nested(value: bytes, depth: int) -> bytes:
    for _ in range(depth):
        value = sized(b"F", b"\1n" + value)
    return value


def of_size(count: int) -> bytes:
    return with_header(sized(b"S", b"x" * (count - len(with_header(sized(b"S", b""))))))


DECIMAL = b"D\2\0\0\0\7"
HARMLESS = {
    "nothing": bytes(2),
    "every type": with_header(
        sized(b"A", b"t\7b\xffB\xffs\xff\xffu\xff\xffI\xff\xff\xff\xffi\xff\xff\xff\xffVT" + b"\xff" * 8)
    ),
    "long numbers": with_header(
        sized(b"A", b"l" + b"\xff" * 8 + b"L" + b"\xff" * 8 + struct.pack(">cdcf", b"d", 0.1, b"f", 1.5))
    ),
    "texts that are not UTF-8": with_header(sized(b"S", b"\xff\xfe"), b"\xff" * 255),
    "the largest frame": of_size(MAX_PROPERTIES_BYTES),
    "a deep table": with_header(nested(b"V", 5000)),
    "no name": with_header(sized(b"x", b""), b""),
    "strange ids": b"\x26\x80" + bytes(4) + b"\1\xff\1\xfe\1\xfd",
}
POISON = {
    "a larger frame": of_size(131_072),
    "an unknown type": with_header(b"Z\0"),
    "an unknown type within": with_header(nested(sized(b"A", b"Z"), 3)),
    "a type that only others know": with_header(b"\0"),
    "no number": with_header(struct.pack(">cd", b"d", float("nan"))),
    "too large a number": with_header(sized(b"A", struct.pack(">cf", b"f", float("inf")))),
    "a table that is cut": b"\x20\0\0\0\0\xff\1nV",
    "an entry that is cut": with_header(b"", b"n" * 9),
    "a table beyond its end": with_header(b"F\0\0\0\xff\1nV"),
    "more behind the end": with_header(b"V", rest=b"xyz"),
    "no flags": b"",
    "half of the flags": b"\0",
    "more flags": b"\0\1\0\0",
}
FOR_STREAMS = {"a decimal": with_header(DECIMAL)}


def is_taken(amqp_url: str, queue: str, raw: bytes) -> bool:
    try:
        with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue, b"body", RawProperties(raw), mandatory=True)
    except AMQPError:
        return False
    return True


@pytest.fixture
def places(amqp_url: str, names: Names) -> dict[str, str]:
    """A queue and a stream."""
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        for kind in ("quorum", "stream"):
            arguments = {"x-queue-type": kind}
            connection.channel().queue_declare(names.queue(kind), durable=True, arguments=arguments)
    return {kind: names.queue(kind) for kind in ("quorum", "stream")}


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_harmless_is_taken_by_a_queue_and_by_a_stream(amqp_url: str, places: dict[str, str], what: str) -> None:
    assert poison_in(HARMLESS[what], to_stream=True) is None
    assert is_taken(amqp_url, places["quorum"], HARMLESS[what])
    assert is_taken(amqp_url, places["stream"], HARMLESS[what])


@pytest.mark.parametrize("what", POISON)
def test_what_is_poison_costs_the_connection(amqp_url: str, places: dict[str, str], what: str) -> None:
    assert poison_in(POISON[what], to_stream=False)
    assert not is_taken(amqp_url, places["quorum"], POISON[what])


@pytest.mark.parametrize("what", FOR_STREAMS)
def test_what_is_poison_for_streams_only_goes_to_queues(amqp_url: str, places: dict[str, str], what: str) -> None:
    assert poison_in(FOR_STREAMS[what], to_stream=True)
    assert poison_in(FOR_STREAMS[what], to_stream=False) is None
    assert is_taken(amqp_url, places["quorum"], FOR_STREAMS[what])


@pytest.mark.parametrize("depth", [1, 2, 100])
def test_a_decimal_is_found_however_deep_it_is(depth: int) -> None:
    assert poison_in(with_header(nested(DECIMAL, depth)), to_stream=True)
    assert poison_in(with_header(nested(sized(b"A", b"V" + DECIMAL), depth)), to_stream=True)


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda data: b"\x20\0" + sized(b"", data)), st.booleans())
def test_any_bytes_are_judged(raw: bytes, to_stream: bool) -> None:
    poison_in(raw, to_stream=to_stream)


values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.dictionaries(st.text(max_size=9), values, max_size=4))
def test_what_we_write_ourselves_is_no_poison(headers: dict[str, Any]) -> None:
    assert poison_in(encode(pika.BasicProperties(headers=headers, message_id="m")), to_stream=True) is None

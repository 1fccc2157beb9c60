"""Properties are any bytes: read, changed in places, otherwise left alone; also as the real broker delivers them."""

from typing import Any

import pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtrail.broker.channel import Delivery
from jobtrail.broker.connection import Connection
from jobtrail.broker.properties import changed, decode, encode, header_text, ids, split, stream_offset, without_offset
from jobtrail.broker.sender import BulkSender, Message
from jobtrail.models.dead_letters.headers import text_header
from tests.support import Names, eventually_async

OFFSET_KEY = b"\x0fx-stream-offsetl"
WAIT_S = 30.0

values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9) | st.binary(max_size=9)
tables = st.dictionaries(st.text(max_size=9), values | st.lists(values, max_size=2), max_size=4)
some_properties = st.builds(
    pika.BasicProperties,
    content_type=st.none() | st.text(max_size=9),
    headers=st.none() | tables,
    correlation_id=st.none() | st.text(max_size=9),
    message_id=st.none() | st.text(max_size=9),
    timestamp=st.none() | st.integers(0, 2**64 - 1),
)
raws = st.binary(max_size=200) | some_properties.map(encode)


@given(raws, st.sampled_from(["jobtrail-letter", "a", ""]))
def test_what_is_read_quickly_is_what_is_read_whole(raw: bytes, name: str) -> None:
    properties = decode(raw)
    assert ids(raw) == (properties.message_id or None, properties.correlation_id or None)
    assert header_text(raw, name) == text_header(properties.headers or {}, name)
    tagged = changed(raw, headers={"jobtrail-letter": "42"})
    assert header_text(tagged, "jobtrail-letter") == "42"


@given(raws, st.integers(0, 2**63 - 1))
def test_the_offset_is_taken_away_and_all_else_stays_to_the_bit(raw: bytes, offset: int) -> None:
    plain = changed(raw, headers={"x-stream-offset": None})
    with_offset = changed(plain, headers={"x-stream-offset": offset + 2**31 if offset < 2**31 else offset})
    assert stream_offset(with_offset) is not None
    assert without_offset(with_offset) == plain
    assert without_offset(plain) == plain


@given(st.integers(2**31, 2**63 - 1), st.booleans())
def test_a_sender_that_writes_an_offset_into_another_header_deceives_nobody(offset: int, before: bool) -> None:
    forged = {"a" if before else "z": (OFFSET_KEY + bytes(8)).decode()}
    own = {"x-stream-offset": offset}
    raw = encode(pika.BasicProperties(headers=forged | own if before else own | forged))
    assert stream_offset(raw) == offset
    assert without_offset(raw) == encode(pika.BasicProperties(headers=forged))


ODD = [
    encode(pika.BasicProperties(message_id="abc")).replace(b"abc", b"\xff\xfe\xfd"),
    encode(pika.BasicProperties(headers={"abc": 1})).replace(b"abc", b"\xff\xfe\xfd"),
    encode(pika.BasicProperties(timestamp=2**64 - 1, priority=255, type="t")),
    encode(pika.BasicProperties(headers={"b": 7})).replace(b"I\0\0\0\7", b"i\xff\xff\xff\xff"),
    encode(pika.BasicProperties(headers={"large": "x" * 131_000})),
    bytes(2),
]


@pytest.mark.parametrize("raw", ODD, ids=range(len(ODD)))
async def test_odd_properties_come_through_a_queue_and_a_stream_to_the_bit(
    amqp_url: str, names: Names, raw: bytes
) -> None:
    taken: dict[str, list[Delivery]] = {"quorum": [], "stream": []}
    sender = BulkSender(amqp_url, "a test")
    await sender.open()
    try:
        channel = await sender.connection.channel()
        for kind in taken:
            await channel.declare_queue(names.queue(kind), {"x-queue-type": kind})
            sent = Message(routing_key=names.queue(kind), body=b"x", properties=raw)
            assert await sender.send([sent], WAIT_S) == set()
        async with Connection(amqp_url, "reader of a test") as connection:
            reader = await connection.channel()
            await reader.set_prefetch(10)
            for kind, into in taken.items():
                arguments = {"x-stream-offset": "first"} if kind == "stream" else {}
                await reader.consume(names.queue(kind), into.append, arguments)
            await eventually_async(lambda: _are_there(taken))
    finally:
        await sender.close()
    assert taken["quorum"][0].raw == raw
    (delivery,) = taken["stream"]
    assert (without_offset(delivery.raw), stream_offset(delivery.raw)) == (raw, 0)
    assert ids(delivery.raw)[0] == decode(raw).message_id


async def _are_there(taken: dict[str, list[Any]]) -> bool:
    return all(taken.values())


def test_what_is_behind_nonsense_is_left_out() -> None:
    assert split(b"") == split(b"\0") == split(b"\xff\xff") == {}
    raw = encode(pika.BasicProperties(message_id="m", app_id="a"))
    assert split(raw[:-1]) == {"message_id": b"\1m"}

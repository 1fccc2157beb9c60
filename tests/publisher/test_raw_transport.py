"""What the driver sees of a connection whose properties are kept from it."""

import asyncio
from collections.abc import Sequence

import pamqp.frame
import pytest
from aiormq.abc import DeliveredMessage
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Queue
from pamqp.header import ContentHeader

from models.errors import BrokerError
from publisher.content_header import Verbatim, decode, encode
from publisher.raw_transport import RawReader, RawTransport

DELIVER = Basic.Deliver(consumer_tag="tag", delivery_tag=1, exchange="", routing_key="replies")
RETURN = Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="", routing_key="gone")
CHANNELS = (1, 2, 300)
BODIES = st.lists(st.binary(min_size=1, max_size=300), max_size=2)
PROPERTIES = st.binary(max_size=200).map(lambda data: bytes(2) + data)

Frame = tuple[int, object]


def content(method: object, raw: bytes, bodies: Sequence[bytes]) -> list[object]:
    """The frames of one message."""
    header = ContentHeader(body_size=sum(map(len, bodies)), properties=Verbatim(raw))
    return [method, header, *map(ContentBody, bodies)]


async def read_all(data: bytes, chunks: Sequence[int], transport: RawTransport) -> list[Frame]:
    """Read frames as aiormq does, from a socket that has them in chunks of these sizes."""
    inner = asyncio.StreamReader()
    reader = RawReader(inner, transport)

    async def feed() -> None:
        at = 0
        for size in (*chunks, len(data)):
            inner.feed_data(data[at : at + size])
            at += size
            await asyncio.sleep(0)
        inner.feed_eof()

    feeding = asyncio.create_task(feed())
    frames: list[Frame] = []
    while True:
        assert not reader.at_eof() or feeding.done()
        try:
            start = await reader.readexactly(1)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            assert reader.at_eof()
            return frames
        start += await reader.readexactly(6)
        _kind, channel, size = pamqp.frame.frame_parts(start)
        assert size is not None
        _read, _channel, frame = pamqp.frame.unmarshal(start + await reader.readexactly(size + 1))
        frames.append((channel, frame))


def wire(frames: Sequence[Frame]) -> bytes:
    return b"".join(pamqp.frame.marshal(frame, channel) for channel, frame in frames)  # type: ignore[arg-type]


@given(
    messages=st.lists(st.tuples(st.sampled_from(CHANNELS), st.booleans(), PROPERTIES, BODIES), max_size=6),
    chunks=st.lists(st.integers(1, 120), max_size=30),
    data=st.data(),
)
def test_messages_come_without_properties_and_returned_ones_not_at_all(
    messages: list[tuple[int, bool, bytes, list[bytes]]], chunks: list[int], data: st.DataObject
) -> None:
    # Frames of one channel keep their order; those of several may be mixed.
    waiting: dict[int, list[object]] = {channel: [] for channel in CHANNELS}
    for channel, returned, raw, bodies in messages:
        waiting[channel] += [*content(RETURN if returned else DELIVER, raw, bodies), Basic.Ack(delivery_tag=1)]
    mixed: list[Frame] = []
    while any(waiting.values()):
        channel = data.draw(st.sampled_from([channel for channel, frames in waiting.items() if frames]))
        mixed.append((channel, waiting[channel].pop(0)))

    transport = RawTransport()
    seen = asyncio.run(read_all(wire(mixed), chunks, transport))

    for channel in CHANNELS:
        frames = iter(frame for each, frame in seen if each == channel)
        for _channel, returned, raw, bodies in [message for message in messages if message[0] == channel]:
            if not returned:
                assert isinstance(next(frames), Basic.Deliver)
                header = next(frames)
                assert isinstance(header, ContentHeader)
                assert not any(value for _name, value in header.properties)
                assert header.body_size == sum(map(len, bodies))
                parts = [next(frames) for _ in bodies]
                assert [part.value for part in parts if isinstance(part, ContentBody)] == bodies
                message = DeliveredMessage(delivery=DELIVER, header=header, body=b"", channel=None)  # type: ignore[arg-type]
                assert transport.properties_of(message) == raw
            assert isinstance(next(frames), Basic.Ack)
        assert next(frames, None) is None


def test_a_return_is_told_to_whoever_waits_for_confirms_then() -> None:
    transport = RawTransport()
    returned = wire([(1, frame) for frame in content(RETURN, encode(Basic.Properties(message_id="x")), [b"body"])])
    with transport.none_returned():
        asyncio.run(read_all(wire([(1, Queue.PurgeOk(message_count=1))]), [], transport))
    with pytest.raises(BrokerError, match="is gone"), transport.none_returned():
        asyncio.run(read_all(returned, [], transport))
    with transport.none_returned():
        pass


def test_a_connection_that_ends_within_a_frame_is_an_incomplete_read() -> None:
    data = wire([(1, frame) for frame in content(DELIVER, encode(Basic.Properties(message_id="x")), [b"body"])])
    with pytest.raises(asyncio.IncompleteReadError):
        asyncio.run(read_all(data[:-1], [], RawTransport()))


def test_properties_are_kept_to_the_bit_where_the_driver_could_not_read_them() -> None:
    raw = encode(Basic.Properties(message_id="abc")).replace(b"abc", b"\xff\xfe\xfd")
    transport = RawTransport()
    frames = asyncio.run(read_all(wire([(7, frame) for frame in content(DELIVER, raw, [])]), [1] * 80, transport))
    header = frames[1][1]
    assert isinstance(header, ContentHeader)
    message = DeliveredMessage(delivery=DELIVER, header=header, body=b"", channel=None)  # type: ignore[arg-type]
    kept = transport.properties_of(message)
    assert (kept, decode(kept).message_id) == (raw, r"\xff\xfe\xfd")

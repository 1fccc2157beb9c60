"""pika's connection for asyncio, but for what it makes of properties: they stay bytes until they are read.

pika decodes the properties of each message while it reads, and a value that it does not know, or a time beyond its
calendar, costs the connection; the broker delivers that message again, and so for ever. What is read here is any bytes.
"""

import asyncio
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import pika
from pika import frame, spec
from pika.adapters.asyncio_connection import AsyncioConnection
from pika.exceptions import InvalidFrameError, StreamLostError

_READ_BYTES = 64 * 1024
_START = struct.Struct(">BHI")
"""Type of a frame, its channel, and the size of its payload; an end mark of one byte follows the payload."""
_BODY_SIZE = struct.Struct(">Q")
_BODY_SIZE_AT = 4
_PROPERTIES_AT = 12
"""Where, in the payload of a content header, the body's size and the properties stand."""


class RawProperties(pika.BasicProperties):
    """Properties as these bytes, read or to be sent: flags and values; see `broker.properties` for what they mean."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw  # pika's own fields are left out: nobody looks at them, and they take time for each message

    def encode(self) -> list[bytes]:
        """Return the bytes."""
        return [self.raw]


class PausableLoop:
    """An event loop whose reading side can be paused, so that TCP makes the broker wait; all else is passed on."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._readers: dict[int, Callable[[], None]] = {}
        self.paused = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        """Watch a socket, now or when reading goes on."""
        self._readers[fd] = callback
        if not self.paused:
            self._loop.add_reader(fd, callback)

    def remove_reader(self, fd: int) -> bool:
        """Watch a socket no more."""
        self._readers.pop(fd, None)
        return self._loop.remove_reader(fd)

    def pause(self) -> None:
        """Read nothing for now."""
        self.paused = True
        for fd in self._readers:
            self._loop.remove_reader(fd)

    def resume(self) -> None:
        """Read on."""
        self.paused = False
        for fd, callback in self._readers.items():
            self._loop.add_reader(fd, callback)


class FrameReader(AsyncioConnection):
    """A connection whose messages come with `RawProperties`."""

    _frame_buffer: bytes
    bytes_received: int
    frames_received: int

    def drop(self) -> None:
        """End the connection without a word to a broker that does not answer: pika offers only to wait for it."""
        if not self.is_closed:
            self._terminate_stream(StreamLostError("dropped"))  # type: ignore[attr-defined]

    def _proto_connection_made(self, transport: Any) -> None:
        """Read more at once than pika's 4 KiB, which hold half a dozen updates and part of the next one."""
        transport._MAX_RECV_BYTES = _READ_BYTES
        super()._proto_connection_made(transport)  # type: ignore[misc]

    def _on_data_available(self, data_in: bytes) -> None:
        """Take the frames out of what came: pika's own way copies the rest of the buffer for each of them."""
        buffer = self._frame_buffer + data_in if self._frame_buffer else data_in
        # What a frame leads to may end the connection, which then forgets its buffer.
        self._frame_buffer = buffer
        at = 0
        while at < len(buffer):
            size, value = _read_delivery(buffer, at) or _read_frame(buffer, at)
            if value is None:
                break
            at += size
            self.bytes_received += size
            if isinstance(value, _Message):
                self._hand_over(value)
            else:
                self._process_frame(value)  # type: ignore[attr-defined]
            if self._frame_buffer is not buffer:
                return
        self._frame_buffer = buffer[at:]

    def _hand_over(self, message: "_Message") -> None:
        """Give a message to its channel, as pika does after some twenty calls for its three frames."""
        self.frames_received += len(_CONTENT)
        channel = self._channels.get(message.method.channel_number)  # type: ignore[attr-defined]
        if channel is not None:
            channel._on_deliver(message.method, message.header, message.body)


class _Message(NamedTuple):
    """The frames of one delivery."""

    method: frame.Method[spec.Basic.Deliver]
    header: frame.Header
    body: bytes


def _read_delivery(buffer: bytes, at: int) -> tuple[int, _Message] | None:
    """Read the delivery that begins at a place; nothing where it is not whole yet, or unusual in any way."""
    if not buffer.startswith(_DELIVER, at + _START.size):
        return None
    begins, end, first_channel = [], at, None
    for expected in _CONTENT:
        if len(buffer) - end < _START.size:
            return None
        kind, channel, size = _START.unpack_from(buffer, end)
        begins.append(end + _START.size)
        end += _START.size + size + 1
        first_channel = first_channel or channel
        if kind != expected or channel != first_channel or end > len(buffer) or buffer[end - 1] != spec.FRAME_END:
            return None
    method_at, header_at, body_at = begins
    (body_size,) = _BODY_SIZE.unpack_from(buffer, header_at + _BODY_SIZE_AT)
    if body_size != end - 1 - body_at:
        return None
    method = spec.Basic.Deliver().decode(buffer, method_at + len(_DELIVER))
    properties = RawProperties(buffer[header_at + _PROPERTIES_AT : body_at - _START.size - 1])
    header = frame.Header(channel, body_size, properties)
    return end - at, _Message(frame.Method(channel, method), header, buffer[body_at : end - 1])


def _read_frame(buffer: bytes, at: int) -> tuple[int, Any]:
    """Read the frame that begins at a place; no frame where it is not whole yet."""
    if len(buffer) - at < _START.size:
        return 0, None
    kind, channel, size = _START.unpack_from(buffer, at)
    begin = at + _START.size
    end = begin + size
    if kind not in _FRAME_KINDS:
        return frame.decode_frame(buffer[at:])  # the other protocol's greeting, or nonsense
    if end >= len(buffer):
        return 0, None
    if buffer[end] != spec.FRAME_END:
        raise InvalidFrameError("Invalid FRAME_END marker")
    if kind == spec.FRAME_HEADER:
        (body_size,) = _BODY_SIZE.unpack_from(buffer, begin + _BODY_SIZE_AT)
        properties = RawProperties(buffer[begin + _PROPERTIES_AT : end])
        return end + 1 - at, frame.Header(channel, body_size, properties)
    if kind == spec.FRAME_BODY:
        return end + 1 - at, frame.Body(channel, buffer[begin:end])
    return frame.decode_frame(buffer[at : end + 1])


_FRAME_KINDS = frozenset({spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY, spec.FRAME_HEARTBEAT})
_CONTENT = (spec.FRAME_METHOD, spec.FRAME_HEADER, spec.FRAME_BODY)
"""The frames of a message whose body is neither empty nor larger than a frame."""
_DELIVER = spec.Basic.Deliver.INDEX.to_bytes(4, "big")

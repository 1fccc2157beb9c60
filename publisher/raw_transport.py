"""Keeps the properties of received messages from the driver, which may choke on them, and hands them on as bytes.

The driver also tells returned messages apart by their message ids. Those of letters stay as they came: they may be
missing, or stand twice. So what the broker returns is counted here, and the driver sees nothing of it.
"""

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

from models.errors import BrokerError

_METHOD, _HEADER = 1, 2
_START = struct.Struct(">BHI")
"""Type of a frame, its channel, and the size of its payload; an end mark of one byte follows the payload."""
_END = b"\xce"
_CLASS_END, _SIZE_BEGIN, _SIZE_END = 9, 11, 19
"""Where, in the frame of a content header, the class ends and the body's size stands; the weight is between them."""
_BARE_BYTES = 14
"""Payload of a content header whose flags say that there are no properties."""
_RETURN = struct.pack(">HH", 60, 50)
_READ_BYTES = 64 * 1024
_KEPT = 1 << 16
"""Messages whose properties are kept at once, at the most; the driver hands on all it has read before it reads again,
and no message has less than 60 bytes."""


class RawTransport(TransportFactory):
    """Opens connections whose messages reach the driver without their properties.

    Args:
        inner: What opens the connection; None for the driver's own.
    """

    def __init__(self, inner: TransportFactory | None = None) -> None:
        self._inner = inner
        self._kept: dict[int, bytes] = {}
        self._number = 0
        self._returned = 0

    async def create(self, url: URL, **kwargs: Any) -> tuple["RawReader", asyncio.StreamWriter]:
        """Open a connection, with TLS for `amqps`."""
        usual = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await (self._inner or usual).create(url, **kwargs)
        return RawReader(reader, self), writer

    @contextmanager
    def none_returned(self) -> Iterator[None]:
        """Publish mandatory messages inside, and wait for their confirms: the broker returns a message before that.

        Raises:
            BrokerError: A message was returned: no queue took it. It may be another one that was published meanwhile.
        """
        before = self._returned
        yield
        if self._returned != before:
            raise BrokerError("RabbitMQ: the queue that a message was to go to is gone")

    def count_return(self) -> None:
        """Count a message that the broker has returned."""
        self._returned += 1

    def keep(self, raw: bytes) -> int:
        """Keep the properties of a message until it is asked for them.

        Args:
            raw: Their flags and values as the broker sent them; see `publisher.content_header`.

        Returns:
            Their number: two bytes at the most, like the field of a content header that AMQP has no use for.
        """
        self._number = number = (self._number + 1) % _KEPT
        self._kept[number] = raw
        return number

    def properties_of(self, message: DeliveredMessage) -> bytes:
        """Get the properties of a message that came through this transport; to be called once.

        Args:
            message: The message.

        Returns:
            Their flags and values.
        """
        return self._kept.pop(message.header.weight)


class RawReader(asyncio.StreamReader):
    """A stream reader that takes the properties out of content headers, and returned messages out of the stream.

    It knows that aiormq reads a frame in parts, but never beyond its end.

    Args:
        reader: The reader of the connection.
        transport: Where the properties go.
    """

    def __init__(self, reader: asyncio.StreamReader, transport: RawTransport) -> None:
        self._reader = reader
        self._transport = transport
        self._data = b""
        self._at = 0
        self._frame = b""
        self._handed = 0
        self._returning: set[int] = set()
        """The channels on which a returned message comes in."""

    def at_eof(self) -> bool:
        """Tell whether nothing more comes."""
        return self._handed == len(self._frame) and self._at == len(self._data) and self._reader.at_eof()

    async def readexactly(self, n: int) -> bytes:
        """Read a part of a frame."""
        if self._handed == len(self._frame):
            self._frame, self._handed = await self._next_frame(), 0
        begin = self._handed
        self._handed = end = begin + n
        return self._frame[begin:end]

    async def _next_frame(self) -> bytes:
        while True:
            while len(self._data) < self._at + _START.size:
                await self._read_more()
            kind, channel, size = _START.unpack_from(self._data, self._at)
            length = _START.size + size + len(_END)
            while len(self._data) < self._at + length:
                await self._read_more()
            begin = self._at
            self._at = end = begin + length
            frame = self._data[begin:end]
            if kind == _METHOD:
                self._returning.discard(channel)
                if not frame.startswith(_RETURN, _START.size):
                    return frame
                self._returning.add(channel)
                self._transport.count_return()
            elif channel not in self._returning:
                return self._without_properties(frame, channel) if kind == _HEADER else frame

    def _without_properties(self, frame: bytes, channel: int) -> bytes:
        number = self._transport.keep(frame[_SIZE_END : -len(_END)])
        weight = number.to_bytes(2, "big")
        start = _START.pack(_HEADER, channel, _BARE_BYTES)
        kept = frame[_START.size : _CLASS_END] + weight + frame[_SIZE_BEGIN:_SIZE_END]
        return start + kept + bytes(2) + _END

    async def _read_more(self) -> None:
        more = await self._reader.read(_READ_BYTES)
        rest = self._data[self._at :]
        if not more:
            raise asyncio.IncompleteReadError(rest, len(rest) + 1)
        self._data, self._at = rest + more, 0

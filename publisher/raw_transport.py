"""Keeps the properties of received messages from the driver, which may choke on them, and hands them on as bytes."""

import asyncio
import struct
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL

_HEADER_FRAME = b"\x02"
_BEFORE_PROPERTIES = 12
"""Bytes of a content header before its flags: class, weight and size of the body."""
_ONLY_HEADERS = b"\x20\x00"
_NAME = "raw"
_ENTRY = b"\x03raw" + b"x"


def raw_properties(message: DeliveredMessage) -> bytes:
    """Get the properties of a message that came through a `RawTransport`.

    Args:
        message: The message.

    Returns:
        Their flags and values as the broker sent them; see `publisher.content_header`.
    """
    headers: Any = message.header.properties.headers
    return bytes(headers[_NAME])


class RawTransport(TransportFactory):
    """Opens connections whose messages have their properties in one header, as bytes.

    Args:
        inner: What opens the connection; None for the driver's own.
    """

    def __init__(self, inner: TransportFactory | None = None) -> None:
        self._inner = inner

    async def create(self, url: URL, **kwargs: Any) -> tuple["RawReader", asyncio.StreamWriter]:
        """Open a connection, with TLS for `amqps`."""
        usual = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await (self._inner or usual).create(url, **kwargs)
        return RawReader(reader), writer


class RawReader(asyncio.StreamReader):
    """A stream reader that rewrites content headers.

    It knows how aiormq reads a frame: its type's byte, six bytes with its channel and size, and the rest.

    Args:
        reader: The reader of the connection.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._inner = reader
        self.at_eof = reader.at_eof  # type: ignore[method-assign]
        self.read = reader.read  # type: ignore[method-assign]
        self._in_header = False
        self._rest: bytes | None = None

    async def readexactly(self, n: int) -> bytes:
        """Read bytes; those of a content header are not the broker's own."""
        if self._rest is not None:
            rest, self._rest = self._rest, None
            return rest
        data = await self._inner.readexactly(n)
        if self._in_header:
            self._in_header = False
            return await self._rewrite(data)
        self._in_header = data == _HEADER_FRAME and n == 1
        return data

    async def _rewrite(self, channel_and_size: bytes) -> bytes:
        channel, size = struct.unpack(">HI", channel_and_size)
        payload = await self._inner.readexactly(size + 1)
        raw = payload[_BEFORE_PROPERTIES:-1]
        table = _ENTRY + struct.pack(">I", len(raw)) + raw
        new = payload[:_BEFORE_PROPERTIES] + _ONLY_HEADERS + struct.pack(">I", len(table)) + table
        self._rest = new + payload[-1:]
        return struct.pack(">HI", channel, len(new))

"""Stops reading from the broker's socket while too many bytes wait to be stored.

The prefetch count bounds how many messages wait, not how large they are. Where a backlog is made of large bodies, the
bytes already received are bounded here: while the gate is shut nothing more is read, and TCP makes the broker wait.
"""

import asyncio
from typing import Any

from aiormq.connection import TCPTransportFactory, TLSTransportFactory, TransportFactory
from yarl import URL


class Gate:
    """Counts bytes that wait.

    Args:
        high_bytes: With more than this waiting, the gate shuts; with half of it left, it opens again.
    """

    def __init__(self, high_bytes: int) -> None:
        self._high_bytes = high_bytes
        self._waiting_bytes = 0
        self.open = asyncio.Event()
        self.open.set()

    def add(self, size_bytes: int) -> None:
        """Count bytes in."""
        self._waiting_bytes += size_bytes
        if self._waiting_bytes > self._high_bytes and self.open.is_set():
            self.open.clear()

    def remove(self, size_bytes: int) -> None:
        """Count bytes out; open the gate when few enough are left."""
        self._waiting_bytes -= size_bytes
        if self._waiting_bytes <= self._high_bytes // 2 and not self.open.is_set():
            self.open.set()


class GatedReader(asyncio.StreamReader):
    """A stream reader that waits before the gate.

    Only what `publisher.raw_transport.RawReader` calls is passed on; the socket's own reader keeps the buffer.

    Args:
        reader: The reader of the socket.
        gate: The gate.
    """

    def __init__(self, reader: asyncio.StreamReader, gate: Gate) -> None:
        self._reader = reader
        self._gate = gate
        self.at_eof = reader.at_eof  # type: ignore[method-assign]

    async def read(self, n: int = -1) -> bytes:
        """Read what is there, up to `n` bytes, once the gate is open."""
        await self._gate.open.wait()
        return await self._reader.read(n)


class GatedTransport(TransportFactory):
    """Opens connections whose reading side waits before a gate.

    Args:
        gate: The gate.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def create(self, url: URL, **kwargs: Any) -> tuple[GatedReader, asyncio.StreamWriter]:
        """Open a connection, with TLS for `amqps`."""
        factory = TLSTransportFactory() if url.scheme == "amqps" else TCPTransportFactory()
        reader, writer = await factory.create(url, **kwargs)
        return GatedReader(reader, self._gate), writer

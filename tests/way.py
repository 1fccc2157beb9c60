"""A way to a service that can be cut and opened, where the service itself need not be stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from jobtrail.stack.ports import HOST, free_port


class Way:
    """A way to a port, closed at first.

    Args:
        to_port: Where it leads to.
    """

    def __init__(self, to_port: int) -> None:
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = free_port()

    async def open(self) -> None:
        """Let connections through."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def cut(self) -> None:
        """End all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(HOST, self._to_port)
        try:
            await asyncio.wait(
                [
                    asyncio.ensure_future(_pump(reader, there_writer)),
                    asyncio.ensure_future(_pump(there_reader, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            writer.transport.abort()
            there_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        return


@asynccontextmanager
async def way_to(port: int) -> AsyncIterator[Way]:
    """Open a way to a port."""
    way = Way(port)
    await way.open()
    try:
        yield way
    finally:
        await way.cut()

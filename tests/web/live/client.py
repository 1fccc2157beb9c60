"""A client of Server-Sent Events on a bare TCP connection, so that a test decides what it reads and when."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.support import WAIT_S


@dataclass(slots=True, frozen=True)
class SseEvent:
    """An event, or, where its kind is empty, an id or a comment alone."""

    kind: str
    data: Any
    id: str | None


class SseClient:
    """One stream. It remembers the last id, as `EventSource` does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.last_id: str | None = None
        self._text = b""

    async def block(self) -> SseEvent | None:
        """Read one block; None at the end of the stream."""
        while b"\n\n" not in self._text:
            part = await self._part()
            if not part:
                return None
            self._text += part
        block, _, self._text = self._text.partition(b"\n\n")
        kind, data, event_id = "", None, None
        for line in block.decode().split("\n"):
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = json.loads(value)
            elif name == "id":
                event_id = self.last_id = value
        return SseEvent(kind, data, event_id)

    async def event(self, timeout_s: float = WAIT_S) -> SseEvent | None:
        """Read the next event; None at the end of the stream."""
        async with asyncio.timeout(timeout_s):
            while True:
                block = await self.block()
                if block is None or block.kind:
                    return block

    async def located(self) -> str:
        """Read until an id is known."""
        async with asyncio.timeout(WAIT_S):
            while self.last_id is None:
                assert await self.block() is not None, "the stream ended"
        return self.last_id

    async def messages(self, count: int) -> list[str]:
        """Read so many updates; tell their messages."""
        told: list[str] = []
        while len(told) < count:
            event = await self.event()
            assert event is not None, f"the stream ended after {told}"
            assert event.kind == "update", event
            told.append(event.data["event"]["message"])
        return told

    async def body(self) -> bytes:
        """Read all that is left of an answer that ends."""
        async with asyncio.timeout(WAIT_S):
            if "content-length" in self.headers:
                return await self._reader.readexactly(int(self.headers["content-length"]))
            whole = b""
            while part := await self._part():
                whole += part
            return whole

    async def close(self) -> None:
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def ask(self, path: str, headers: Mapping[str, str]) -> None:
        lines = [f"GET {quote(path, safe='/?=&%:')} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode())
        async with asyncio.timeout(WAIT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        self.status = int(head[0].split()[1])
        fields = (line.partition(": ") for line in head[1:] if line)
        self.headers = {name.lower(): value for name, _, value in fields}

    async def _part(self) -> bytes:
        """Read one chunk of the transfer coding; none at the end, however it comes."""
        try:
            size = int(await self._reader.readline() or b"0", 16)
            part = await self._reader.readexactly(size + 2)
        except (ConnectionError, asyncio.IncompleteReadError):
            return b""
        return part[:-2]


@asynccontextmanager
async def listening(
    port: int, path: str, *, after: str | None = None, token: str | None = None, receive_bytes: int | None = None
) -> AsyncIterator[SseClient]:
    """Open a stream.

    Args:
        port: The web's.
        path: What to ask for.
        after: The `Last-Event-ID` to send.
        token: The bearer token to send.
        receive_bytes: What the system may take in while nobody reads; None for as it likes.
    """
    connection = socket.socket()
    if receive_bytes is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    # As little as possible is read ahead of what the test asks for.
    reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
    client = SseClient(reader, writer)
    headers = {"Last-Event-ID": after, "Authorization": f"Bearer {token}" if token else None}
    try:
        await client.ask(path, {name: value for name, value in headers.items() if value is not None})
        yield client
    finally:
        await client.close()

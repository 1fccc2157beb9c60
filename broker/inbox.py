"""What the broker has delivered and the service has not taken yet, bounded by its bytes."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from jobtrail.broker.connection import Connection

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""With more than this waiting nothing more is read; with half of it reading goes on."""


class _Message(Protocol):
    @property
    def size_bytes(self) -> int: ...


M = TypeVar("M", bound=_Message)


class Inbox(Generic[M]):
    """Messages in the order in which they came. Their connection is paused while too much waits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: deque[M] = deque()
        self._waiting_bytes = 0
        self._is_full = False
        self.arrived = asyncio.Event()
        """Set while something waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: M) -> None:
        """Add a message."""
        self._waiting.append(message)
        self._waiting_bytes += message.size_bytes
        self.arrived.set()
        if self._waiting_bytes > MAX_WAITING_BYTES and not self._is_full:
            self._is_full = True
            self._connection.pause()

    def put_back(self, message: M) -> None:
        """Hand a message out once more: the next `take` begins with it."""
        self._waiting.appendleft(message)
        self._waiting_bytes += message.size_bytes

    def take(self, max_count: int, max_bytes: int) -> Sequence[M]:
        """Take what waits, in order, up to these bounds; a message that is larger than `max_bytes` is taken alone."""
        taken: list[M] = []
        size_bytes = 0
        while self._waiting and len(taken) < max_count:
            next_bytes = self._waiting[0].size_bytes
            if taken and size_bytes + next_bytes > max_bytes:
                break
            size_bytes += next_bytes
            taken.append(self._waiting.popleft())
        self._waiting_bytes -= size_bytes
        if self._is_full and self._waiting_bytes <= MAX_WAITING_BYTES // 2:
            self._read_on()
        if not self._waiting:
            self.arrived.clear()
        return taken

    def clear(self) -> None:
        """Forget what waits, and read on."""
        self._waiting.clear()
        self._waiting_bytes = 0
        self._read_on()

    def _read_on(self) -> None:
        self._is_full = False
        self._connection.resume()

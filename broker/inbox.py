"""What the broker has delivered and the service is not done with yet, bounded by its bytes."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from jobtrail.broker.connection import Connection

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""With more than this, waiting or taken, nothing more is read; with half of it reading goes on."""


class _Sized(Protocol):
    @property
    def size_bytes(self) -> int: ...


M = TypeVar("M", bound=_Sized)


class Inbox(Generic[M]):
    """Messages in the order in which they came. Their connection is paused while there are too many bytes of them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: deque[M] = deque()
        self._held_bytes = 0
        self._is_full = False
        self.arrived = asyncio.Event()
        """Set while something waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: M) -> None:
        """Add a message."""
        self._waiting.append(message)
        self._held_bytes += message.size_bytes
        self.arrived.set()
        if self._held_bytes > MAX_WAITING_BYTES and not self._is_full:
            self._is_full = True
            self._connection.pause()

    def put_back(self, message: M) -> None:
        """Hand a message out once more: the next `take` begins with it."""
        self._waiting.appendleft(message)

    def take(self, max_count: int, max_bytes: int) -> Sequence[M]:
        """Take what waits, in order, up to these bounds; a message that is larger than `max_bytes` is taken alone."""
        taken: list[M] = []
        size_bytes = 0
        while self._waiting and len(taken) < max_count:
            size_bytes += self._waiting[0].size_bytes
            if taken and size_bytes > max_bytes:
                break
            taken.append(self._waiting.popleft())
        if not self._waiting:
            self.arrived.clear()
        return taken

    def release(self, taken: Sequence[M]) -> None:
        """Be done with what was taken: there is room for more."""
        self._held_bytes -= sum(message.size_bytes for message in taken)
        if self._is_full and self._held_bytes <= MAX_WAITING_BYTES // 2:
            self._read_on()

    def clear(self) -> None:
        """Forget all, and read on."""
        self._waiting.clear()
        self._held_bytes = 0
        self._read_on()

    def _read_on(self) -> None:
        self._is_full = False
        self._connection.resume()

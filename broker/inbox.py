"""What the broker has handed out of a queue and nobody has taken yet, bounded by its bytes."""

import asyncio
from collections import deque
from collections.abc import Sequence

from jobtrail.broker.channel import Delivery
from jobtrail.broker.connection import Connection

MAX_WAITING_BYTES = 16 * 1024 * 1024
"""With more than this waiting nothing more is read; with half of it reading goes on."""


class Inbox:
    """Deliveries in the order in which they came.

    Args:
        connection: Where it comes from; it is paused while too much waits.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: deque[Delivery] = deque()
        self._waiting_bytes = 0
        self.arrived = asyncio.Event()
        """Set while something waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, delivery: Delivery) -> None:
        """Add a message."""
        self._waiting.append(delivery)
        self._waiting_bytes += size_of(delivery)
        self.arrived.set()
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._connection.pause()

    def take(self, max_count: int, max_bytes: int) -> Sequence[Delivery]:
        """Take what waits, in order, at once.

        Args:
            max_count: How many messages at the most.
            max_bytes: How many bytes at the most; a single larger message is taken alone.

        Returns:
            The messages; none where none waits.
        """
        taken: list[Delivery] = []
        size_bytes = 0
        while self._waiting and len(taken) < max_count:
            size_bytes += size_of(self._waiting[0])
            if taken and size_bytes > max_bytes:
                break
            taken.append(self._waiting.popleft())
        self._waiting_bytes -= sum(map(size_of, taken))
        if self._waiting_bytes <= MAX_WAITING_BYTES // 2:
            self._connection.resume()
        if not self._waiting:
            self.arrived.clear()
        return taken


def size_of(delivery: Delivery) -> int:
    """Tell about how many bytes a message takes."""
    return len(delivery.body) + len(delivery.raw)

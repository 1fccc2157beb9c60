"""The latest updates, ready to be sent: what most clients need that come back."""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

from jobtrail.web.live.topics import Topic

MAX_COUNT = 20_000
MAX_BYTES = 16 * 1024 * 1024
_OVERHEAD_BYTES = 600
"""What an entry takes beside its frame, about."""


@dataclass(slots=True, frozen=True, kw_only=True)
class RingEntry:
    """One update."""

    token: str
    topics: Collection[Topic]
    frame: bytes
    """What is sent: made once, shared by all clients."""


class Ring:
    """Holds the latest updates, numbered without a gap; bounded in count and bytes.

    Args:
        most_count: Updates at the most.
        most_bytes: Bytes at the most; the newest update is held however large it is.
    """

    def __init__(self, most_count: int = MAX_COUNT, most_bytes: int = MAX_BYTES) -> None:
        self._slots: list[RingEntry | None] = [None] * most_count
        self._most_bytes = most_bytes
        self._bytes = 0
        self._floor: str | None = None
        self.first = 0
        """The number of the oldest update that is held."""
        self.end = 0
        """The number that the next update will get."""

    def restart(self, floor: str) -> None:
        """Forget all updates; the numbers go on.

        Args:
            floor: The token from which on every update will be held.
        """
        while self.first < self.end:
            self._drop_first()
        self._floor = floor

    def add(self, entry: RingEntry) -> int:
        """Hold one more update, and as many fewer of the oldest as it takes.

        Returns:
            Its number.
        """
        size = _size(entry)
        while self.first < self.end and (
            self.end - self.first == len(self._slots) or self._bytes + size > self._most_bytes
        ):
            self._floor = self._drop_first()
        self._slots[self.end % len(self._slots)] = entry
        self._bytes += size
        self.end += 1
        return self.end - 1

    def after(self, token: str) -> int | None:
        """Find where the updates after a token begin.

        Args:
            token: The token.

        Returns:
            The first one's number, or that of the next to come; None where some of them are held no more.
        """
        if self._floor is None or token < self._floor:
            return None
        numbers = range(self.first, self.end)
        return self.first + bisect_right(numbers, token, key=lambda number: self._at(number).token)

    def read(self, number: int, topic: Topic, most_bytes: int) -> tuple[list[bytes], int]:
        """Read the updates of a topic.

        Args:
            number: Where to begin; it must be held, or the next to come.
            topic: The topic.
            most_bytes: Bytes after which no further update is read.

        Returns:
            The updates' frames, and where to go on.
        """
        frames: list[bytes] = []
        size = 0
        while number < self.end and size < most_bytes:
            entry = self._at(number)
            if topic in entry.topics:
                frames.append(entry.frame)
                size += len(entry.frame)
            number += 1
        return frames, number

    def _at(self, number: int) -> RingEntry:
        entry = self._slots[number % len(self._slots)]
        assert entry is not None, f"update {number} is not held"  # noqa: S101  # the type checker's
        return entry

    def _drop_first(self) -> str:
        entry = self._at(self.first)
        self._slots[self.first % len(self._slots)] = None
        self._bytes -= _size(entry)
        self.first += 1
        return entry.token


def _size(entry: RingEntry) -> int:
    return len(entry.frame) + _OVERHEAD_BYTES

"""The latest updates, ready to be sent again: all that most clients need when they come back."""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass

from jobtrail.web.live.topics import Topic

MAX_COUNT = 20_000
MAX_BYTES = 16 * 1024 * 1024
_OVERHEAD_BYTES = 600
"""Roughly what an entry takes beside its frame."""


@dataclass(slots=True, frozen=True, kw_only=True)
class BufferedUpdate:
    """One update."""

    token: str
    topics: Collection[Topic]
    frame: bytes
    """What is sent: written once, shared by all clients."""


class ReplayBuffer:
    """Holds the latest updates, numbered without gaps, bounded in count and bytes.

    The newest update is held however large it is.
    """

    def __init__(self, max_count: int = MAX_COUNT, max_bytes: int = MAX_BYTES) -> None:
        self._slots: list[BufferedUpdate | None] = [None] * max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._floor: str | None = None
        self.first = 0
        """The number of the oldest update that is held."""
        self.end = 0
        """The number that the next update will get."""

    def restart(self, floor: str) -> None:
        """Forget all updates; from the token `floor` on all will be held. The numbers go on."""
        while self.first < self.end:
            self._drop_first()
        self._floor = floor

    def add(self, entry: BufferedUpdate) -> int:
        """Hold one more update, dropping the oldest to make room; return its number."""
        size = _size(entry)
        while self.first < self.end and (
            self.end - self.first == len(self._slots) or self._bytes + size > self._max_bytes
        ):
            self._floor = self._drop_first()
        self._slots[self.end % len(self._slots)] = entry
        self._bytes += size
        self.end += 1
        return self.end - 1

    def after(self, token: str) -> int | None:
        """Return the number of the first update after a token, or the next to come; None if some were dropped."""
        if self._floor is None or token < self._floor:
            return None
        numbers = range(self.first, self.end)
        return self.first + bisect_right(numbers, token, key=lambda number: self._at(number).token)

    def read(self, number: int, topic: Topic, max_bytes: int) -> tuple[list[bytes], int]:
        """Read frames of a topic until they exceed `max_bytes`; return them, and the number to go on with."""
        frames: list[bytes] = []
        size = 0
        while number < self.end and size < max_bytes:
            entry = self._at(number)
            if topic in entry.topics:
                frames.append(entry.frame)
                size += len(entry.frame)
            number += 1
        return frames, number

    def _at(self, number: int) -> BufferedUpdate:
        entry = self._slots[number % len(self._slots)]
        assert entry is not None, f"update {number} is not held"  # noqa: S101  # the type checker's
        return entry

    def _drop_first(self) -> str:
        entry = self._at(self.first)
        self._slots[self.first % len(self._slots)] = None
        self._bytes -= _size(entry)
        self.first += 1
        return entry.token


def _size(entry: BufferedUpdate) -> int:
    return len(entry.frame) + _OVERHEAD_BYTES

"""How far a stream of updates has been stored, and how it is known that it still is the same stream.

A stream gives each message an offset. Offsets rise, but not without a gap: the broker takes one for itself whenever it
begins a new segment file (seen with RabbitMQ 3.10 and 4.0). An *epoch* is a run of offsets: it ends where a stream was
deleted and made anew, was cut short, or lost messages that nobody had stored. The order of arrival, `seq`, has a number
for each offset, and goes on from epoch to epoch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import blake2b

FINGERPRINT_BYTES = 8
REMEMBERED = 32
"""The last offsets whose fingerprints are kept."""
_MAX_FORMER = 20
_NO_MESSAGE = bytes(FINGERPRINT_BYTES)
"""In place of the fingerprint, at an offset that the broker took for itself."""


def fingerprint(body: bytes, message_id: str | None, correlation_id: str | None) -> bytes:
    """Make the short hash by which a message is recognised at its offset.

    Args:
        body: The message's body.
        message_id: Its message id, if it has one.
        correlation_id: Its correlation id, if it has one.

    Returns:
        `FINGERPRINT_BYTES` bytes.
    """
    digest = blake2b(body, digest_size=FINGERPRINT_BYTES)
    digest.update(f"\0{message_id}\0{correlation_id}".encode("utf-8", "surrogatepass"))
    return digest.digest()


@dataclass(slots=True, frozen=True, kw_only=True)
class Position:
    """How far one stream has been stored."""

    stream: str
    epoch: int = 1
    first_offset: int = 0
    """The epoch's first offset."""
    first_seq: int = 1
    """The number of that offset in the order of arrival."""
    offset: int = -1
    """The last offset that is stored; one less than `first_offset` where nothing of this epoch is."""
    fingerprints: Sequence[bytes] = ()
    """Those of the last offsets, the last one being that of `offset`."""
    received_at: datetime | None = None
    """When the message at `offset` was received; None where nothing ever was."""
    former: Sequence[tuple[int, int]] = ()
    """First offset and first number of earlier epochs whose offsets the stream still has, the oldest first."""
    bridges: Mapping[str, int] = field(default_factory=dict)
    """The latest term of each bridge of which a copy was seen; see `consumer.bridge`."""

    @property
    def seq(self) -> int:
        """The number of the last stored message in the order of arrival; 0 where nothing ever was."""
        return self.offset - self.first_offset + self.first_seq

    @property
    def is_new(self) -> bool:
        """Whether nothing of this epoch is stored yet."""
        return self.offset < self.first_offset

    def seq_of(self, offset: int) -> int:
        """Tell the number of an offset in the order of arrival.

        Args:
            offset: The offset, `oldest_known` or a later one.
        """
        epochs = [*self.former, (self.first_offset, self.first_seq)]
        first_offset, first_seq = next((each for each in reversed(epochs) if each[0] <= offset), epochs[0])
        return offset - first_offset + first_seq

    @property
    def oldest_known(self) -> int:
        """The first offset of the stream of which it is known what was stored."""
        return self.former[0][0] if self.former else self.first_offset

    def advanced(
        self, offset: int, fingerprints: Mapping[int, bytes], received_at: datetime, bridges: Mapping[str, int]
    ) -> "Position":
        """Make the position behind the messages that follow.

        Args:
            offset: The last one's offset.
            fingerprints: Those of the last of them by their offsets, as far as `REMEMBERED` reaches back.
            received_at: When the last one was received.
            bridges: The latest terms of bridges, theirs included.
        """
        first = max(self.first_offset, offset - REMEMBERED + 1)
        known = [fingerprints.get(each) or self.remembered(each) or _NO_MESSAGE for each in range(first, offset + 1)]
        return replace(self, offset=offset, fingerprints=known, received_at=received_at, bridges=bridges)

    def new_epoch(self, first_offset: int) -> "Position":
        """Make the position of an epoch that follows this one.

        Args:
            first_offset: The first offset that is to be stored.
        """
        epochs = [*self.former, (self.first_offset, self.first_seq)][-_MAX_FORMER:]
        return replace(
            self,
            former=[each for each in epochs if each[0] < first_offset],
            epoch=self.epoch + 1,
            first_offset=first_offset,
            first_seq=self.seq + 1,
            offset=first_offset - 1,
            fingerprints=(),
        )

    def remembered(self, offset: int) -> bytes | None:
        """Return the fingerprint of an offset, if it is among the last ones.

        Args:
            offset: The offset.
        """
        place = len(self.fingerprints) - 1 - (self.offset - offset)
        return self.fingerprints[place] if 0 <= place < len(self.fingerprints) else None

"""Messages as a queue delivered them, and what is remembered of a queue so that redelivered messages are recognised."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Generic, TypeVar

from models.wire import StatusUpdate

FINGERPRINT_BYTES = 8


def fingerprint(body: bytes, message_id: str | None, correlation_id: str | None) -> bytes:
    """Make the short hash by which a redelivered message is told from its neighbours.

    Args:
        body: The message's body.
        message_id: Its message id, if it has one.
        correlation_id: Its correlation id, if it has one.

    Returns:
        `FINGERPRINT_BYTES` bytes.
    """
    digest = blake2b(body, digest_size=FINGERPRINT_BYTES)
    digest.update(f"\0{message_id}\0{correlation_id}".encode())
    return digest.digest()


@dataclass(slots=True, kw_only=True)
class Delivered:
    """One message taken from a queue."""

    fingerprint: bytes
    received_at: datetime


@dataclass(slots=True, kw_only=True)
class Delivery(Delivered):
    """One message taken from a reply queue, decoded or not."""

    update: StatusUpdate | None
    """None for a message that went to the dead letters."""
    message_id: str | None = None
    correlation_id: str | None = None
    replay_id: str | None = None
    """The replay that brought it back from the dead letters."""
    letter_id: str | None = None
    """The dead letter that it was."""


D = TypeVar("D", bound=Delivered)


@dataclass(slots=True, frozen=True, kw_only=True)
class Batch(Generic[D]):
    """Consecutive deliveries of one queue that are stored together."""

    queue: str
    first_seq: int
    """The first delivery's number; the others follow without a gap."""
    deliveries: Sequence[D]
    anchors: Sequence[int]
    """Where the broker's unacknowledged run may begin after this batch; see `Position.anchors`."""
    fresh: bool = False
    """Whether the anchors stored earlier count no more."""

    @property
    def last_seq(self) -> int:
        """The last delivery's number."""
        return self.first_seq + len(self.deliveries) - 1


@dataclass(slots=True, frozen=True, kw_only=True)
class StoredBatch:
    """What became of a batch."""

    stored: int
    duplicates: int
    """Messages that had been stored before, by their message id or by where they come from."""
    dead_lettered: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class Position:
    """How far a queue has been stored.

    Args:
        last_seq: Number of the last delivery that was stored or dead-lettered; 0 for a new queue.
        anchors: Numbers at which the broker's unacknowledged run may begin, oldest first. An anchor of `last_seq + 1`
            says that everything stored was acknowledged too.
        fingerprints: Those of the latest deliveries, the last one being that of `last_seq`.
        received_at: When the last delivery was received; None for a new queue.
    """

    last_seq: int = 0
    anchors: Sequence[int] = (1,)
    fingerprints: Sequence[bytes] = ()
    received_at: datetime | None = None

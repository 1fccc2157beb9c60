"""Heartbeats taken from the queue and not yet stored: only the newest of each instance, so memory stays bounded."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

from jobtrail.broker.channel import Delivery
from jobtrail.models.errors import DecodeError
from jobtrail.models.heartbeat import Heartbeat, decode_heartbeat

MAX_BATCH_BYTES = 8 * 1024 * 1024
"""A batch that holds as much is full. There are two at most: one is stored while the next is collected."""
_ENTRY_BYTES = 1024
"""What is held of a message beside its own bytes, roughly."""
_REMEMBERED = 20_000
"""Bad heartbeats that are recognised when they are redelivered."""


@dataclass(slots=True, frozen=True)
class Reject:
    """A heartbeat that can't be processed, on its way to the dead letters."""

    delivery: Delivery
    received_at: datetime
    reason: str
    error: str
    digest: str
    """Equal for messages that are equal in all."""


@dataclass(slots=True)
class Batch:
    """What was taken since the last batch."""

    heartbeats: dict[str, tuple[Heartbeat, Delivery]] = field(default_factory=dict)
    """The newest of each instance, with its message."""
    rejects: dict[str, Reject] = field(default_factory=dict)
    """The bad ones by digest: senders repeat theirs."""
    last_tag: int = 0
    """The batch holds or supersedes all deliveries up to this one."""
    count: int = 0
    """Deliveries taken."""
    size_bytes: int = 0
    """What is held, roughly."""

    def keep(self, beat: Heartbeat, delivery: Delivery) -> None:
        """Hold a heartbeat, unless a newer one of its instance is held."""
        held = self.heartbeats.get(beat.instance_id)
        if held is not None:
            if _older(beat, held[0]):
                return
            self.size_bytes -= _size_bytes(held[1])
        self.heartbeats[beat.instance_id] = (beat, delivery)
        self.size_bytes += _size_bytes(delivery)

    def keep_reject(self, reject: Reject) -> None:
        """Hold a bad heartbeat, unless an equal one is held."""
        if reject.digest not in self.rejects:
            self.rejects[reject.digest] = reject
            self.size_bytes += _size_bytes(reject.delivery)


class HeartbeatInbox:
    """Collects deliveries into the next batch."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._batch = Batch()
        self._settled: dict[str, None] = {}

    @property
    def count(self) -> int:
        """Deliveries that wait to be stored."""
        return self._batch.count

    @property
    def is_full(self) -> bool:
        """Whether no more should be taken for now."""
        return self._batch.size_bytes >= MAX_BATCH_BYTES

    def add(self, delivery: Delivery) -> Reject | None:
        """Take one delivery in; return the reject if it can't be processed, which is part of the batch too."""
        batch = self._batch
        batch.count += 1
        batch.last_tag = delivery.tag
        received_at = datetime.now(UTC)
        try:
            beat = decode_heartbeat(delivery.body, received_at, max_bytes=self._max_body_bytes)
        except DecodeError as error:
            reject = Reject(delivery, received_at, error.reason, error.detail, _digest(delivery))
            # What went back to the queue with a lost connection may have been stored since.
            if not (delivery.redelivered and reject.digest in self._settled):
                batch.keep_reject(reject)
            return reject
        batch.keep(beat, delivery)
        return None

    def refuse(self, batch: Batch, instance_id: str, reason: str, error: str) -> Reject:
        """Turn a heartbeat of a batch into a reject of it: it looked good, but was refused later."""
        beat, delivery = batch.heartbeats.pop(instance_id)
        batch.size_bytes -= _size_bytes(delivery)
        reject = Reject(delivery, beat.received_at, reason, error, _digest(delivery))
        batch.keep_reject(reject)
        return reject

    def settle(self, batch: Batch) -> None:
        """Note that a batch's bad heartbeats are stored; the batch no longer holds them."""
        for digest in batch.rejects:
            self._settled.pop(digest, None)
            self._settled[digest] = None
        while len(self._settled) > _REMEMBERED:
            del self._settled[next(iter(self._settled))]
        batch.size_bytes -= sum(_size_bytes(reject.delivery) for reject in batch.rejects.values())
        batch.rejects.clear()

    def take(self) -> Batch:
        """Return what was collected and start over."""
        batch, self._batch = self._batch, Batch()
        return batch

    def put_back(self, batch: Batch) -> None:
        """Take a batch back that could not be stored; newer heartbeats that came meanwhile win."""
        newer, self._batch = self._batch, batch
        for beat, delivery in newer.heartbeats.values():
            batch.keep(beat, delivery)
        for reject in newer.rejects.values():
            batch.keep_reject(reject)
        batch.last_tag = max(batch.last_tag, newer.last_tag)
        batch.count += newer.count

    def forget_deliveries(self) -> None:
        """The connection is lost: nothing can be acknowledged any more. The heartbeats stay and will be stored."""
        self._batch.last_tag = 0
        self._batch.count = 0


def _older(beat: Heartbeat, held: Heartbeat) -> bool:
    if beat.sequence is not None and held.sequence is not None:
        return beat.sequence < held.sequence
    return beat.received_at < held.received_at


def _size_bytes(delivery: Delivery) -> int:
    return len(delivery.body) + len(delivery.raw) + _ENTRY_BYTES


def _digest(delivery: Delivery) -> str:
    digest = blake2b(digest_size=16)
    for part in (delivery.exchange.encode(), delivery.routing_key.encode(), delivery.raw, delivery.body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()

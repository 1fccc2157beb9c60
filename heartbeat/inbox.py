"""Heartbeats taken from the queue and not yet stored: only the newest of each instance, so memory stays bounded."""

from dataclasses import dataclass, field
from datetime import datetime

from models.errors import DecodeError
from models.heartbeat import Heartbeat, decode_heartbeat


@dataclass(slots=True, frozen=True, kw_only=True)
class Delivery:
    """One message as the broker handed it out."""

    tag: int
    body: bytes
    exchange: str
    routing_key: str
    received_at: datetime
    redelivered: bool = False
    properties: bytes = b""
    """As the broker sent them; see `publisher.content_header`."""


@dataclass(slots=True, frozen=True)
class Reject:
    """A message that can't be processed, on its way to the dead letters."""

    delivery: Delivery
    reason: str
    error: str


@dataclass(slots=True)
class Batch:
    """What was taken since the last batch."""

    heartbeats: dict[str, tuple[Heartbeat, Delivery]] = field(default_factory=dict)
    """The newest of each instance, with its message."""
    rejects: list[Reject] = field(default_factory=list)
    last_tag: int = 0
    """The batch holds or supersedes all deliveries up to this one."""
    count: int = 0
    """Deliveries taken."""


class Inbox:
    """Collects deliveries into the next batch.

    Args:
        max_body_bytes: The largest message that is read at all.
    """

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._batch = Batch()

    @property
    def count(self) -> int:
        """Deliveries that wait to be stored."""
        return self._batch.count

    def add(self, delivery: Delivery) -> Reject | None:
        """Take one delivery in.

        Args:
            delivery: The message.

        Returns:
            The reject, when it can't be processed; it is part of the batch all the same.
        """
        batch = self._batch
        batch.count += 1
        batch.last_tag = max(batch.last_tag, delivery.tag)
        try:
            beat = decode_heartbeat(delivery.body, delivery.received_at, max_bytes=self._max_body_bytes)
        except DecodeError as error:
            reject = Reject(delivery, error.reason, error.detail)
            # After a lost connection the broker hands out again what is still held here.
            held = delivery.redelivered and any(each.delivery.body == delivery.body for each in batch.rejects)
            if not held:
                batch.rejects.append(reject)
            return reject
        self._keep_newest(beat, delivery)
        return None

    def take(self) -> Batch:
        """Return what was collected and start anew."""
        batch, self._batch = self._batch, Batch()
        return batch

    def put_back(self, batch: Batch) -> None:
        """Take a batch back that could not be stored; newer heartbeats that came meanwhile win."""
        newer, self._batch = self._batch, batch
        for beat, delivery in newer.heartbeats.values():
            self._keep_newest(beat, delivery)
        batch.rejects += newer.rejects
        batch.last_tag = max(batch.last_tag, newer.last_tag)
        batch.count += newer.count

    def forget_deliveries(self) -> None:
        """The connection is lost: nothing can be acknowledged any more. The heartbeats stay and will be stored."""
        self._batch.last_tag = 0
        self._batch.count = 0

    def _keep_newest(self, beat: Heartbeat, delivery: Delivery) -> None:
        held = self._batch.heartbeats.get(beat.instance_id)
        if held is None or not _older(beat, held[0]):
            self._batch.heartbeats[beat.instance_id] = (beat, delivery)


def _older(beat: Heartbeat, held: Heartbeat) -> bool:
    if beat.sequence is not None and held.sequence is not None:
        return beat.sequence < held.sequence
    return beat.received_at < held.received_at

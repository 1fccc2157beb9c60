"""The copies that a forwarder makes of a stream's messages; their ids say where in the log they come from."""

from collections.abc import Set as AbstractSet

import structlog

from jobtrail.broker.poison import poison_in
from jobtrail.broker.properties import changed
from jobtrail.broker.sender import Message
from jobtrail.consumer.bridge_mark import QUEUE_HEADER, REDELIVERED_HEADER, TERM_HEADER
from jobtrail.consumer.reader import Received
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import load_object

log = structlog.get_logger()

_PERSISTENT = 2
_NO_PROPERTIES = b"\0\0"
_OFFSET_HEADER = "x-stream-offset"
_ROUTING_HEADERS = ("CC", "BCC")
"""They would send it to further queues, which have had it already."""
_TAKEN_OFF = dict.fromkeys((_OFFSET_HEADER, QUEUE_HEADER, TERM_HEADER, REDELIVERED_HEADER, *_ROUTING_HEADERS))
_LONGEST_STREAM = 200
"""Bytes of a stream's name that have room in a message id, beside epoch and offset."""


class CopyMaker:
    """Makes copies of the messages of one stream for the queue `to`: those of some extractors, or of all."""

    def __init__(self, stream: str, to: str, extractors: AbstractSet[str], max_body_bytes: int) -> None:
        self._stream = stream
        self._to = to
        self._extractors = extractors
        self._max_body_bytes = max_body_bytes

    def copy(self, received: Received, epoch: int) -> Message | None:
        """Make the copy of a message, with all properties but those that name or route the original, or let it expire.

        None where it is another extractor's, or names no extractor.
        """
        if self._extractors and self._extractor_of(received.delivery.body) not in self._extractors:
            return None
        message_id = copy_id(self._stream, epoch, received.offset)
        properties = changed(
            received.delivery.raw,
            headers=_TAKEN_OFF,
            message_id=message_id,
            delivery_mode=_PERSISTENT,
            expiration=None,
            user_id=None,  # the broker refuses a message in another account's name
        )
        poison = poison_in(properties, to_stream=True)  # the target may be a stream
        if poison is not None:
            log.warning("properties are left out", action="forwarder.properties", message_id=message_id, reason=poison)
            properties = plain_properties(message_id)
        return Message(routing_key=self._to, body=received.delivery.body, properties=properties)

    def _extractor_of(self, body: bytes) -> str | None:
        try:
            extractor = load_object(body, self._max_body_bytes).get("extractor_id")
        except DecodeError:
            return None
        return extractor if isinstance(extractor, str) else None


def copy_id(stream: str, epoch: int, offset: int) -> str:
    """Make the message id of a copy: the same one for each copy of the same message, and for no other one."""
    name = stream.encode()[-_LONGEST_STREAM:].decode(errors="ignore")  # partitions differ at the end
    return f"{name}/{offset}" if epoch == 1 else f"{name}~{epoch}/{offset}"


def plain_properties(message_id: str) -> bytes:
    """Make the properties of a copy that can't have those of its original."""
    return changed(_NO_PROPERTIES, message_id=message_id, delivery_mode=_PERSISTENT)

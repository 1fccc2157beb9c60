"""Turns a stream's messages into status updates, or into dead letters."""

from datetime import datetime

from jobtrail.broker.channel import Delivery
from jobtrail.broker.properties import decode, ids, without_offset
from jobtrail.consumer.bridge_mark import read_mark
from jobtrail.models.dead_letters.dead_letter import LetterKind
from jobtrail.models.dead_letters.headers import LETTER_HEADER, REPLAY_HEADER, letter_header, text_header
from jobtrail.models.dead_letters.refused import refused_letter
from jobtrail.models.delivery import Entry
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.wire import decode_status_update

_OUR_HEADER = b"jobtrail-"
_STUB_BYTES = 4096


class UpdateReader:
    """Turns the messages of one stream into entries of the log."""

    def __init__(self, stream: str, max_body_bytes: int) -> None:
        self._stream = stream
        self._max_body_bytes = max_body_bytes

    def read(self, delivery: Delivery, seq: int, received_at: datetime) -> Entry:
        """Turn a message into what is stored: an update, or a dead letter that says why it can't be one."""
        message_id, correlation_id = ids(delivery.raw)
        entry = Entry(
            seq=seq, received_at=received_at, update=None, message_id=message_id, correlation_id=correlation_id
        )
        if _OUR_HEADER in delivery.raw:
            headers = decode(delivery.raw).headers or {}
            entry.replay_id = text_header(headers, REPLAY_HEADER)
            entry.letter_id = text_header(headers, LETTER_HEADER)
            entry.bridge = read_mark(headers)
        try:
            entry.update = decode_status_update(delivery.body, max_bytes=self._max_body_bytes)
        except DecodeError as error:
            self.refuse(entry, delivery, error)
        return entry

    def refuse(self, entry: Entry, delivery: Delivery, error: DecodeError) -> bool:
        """Turn an entry into a dead letter, in place.

        One that was refused too is cut to what can surely be stored. Return False if even that has been refused before.
        """
        if entry.letter is not None and not entry.letter.properties:
            return False
        headers = decode(delivery.raw).headers or {}
        stub = entry.letter is not None
        entry.letter = refused_letter(
            queue=self._stream,
            reason=error.reason,
            error=error.detail,
            body=delivery.body[:_STUB_BYTES] if stub else delivery.body,
            properties=b"" if stub else without_offset(delivery.raw),
            exchange="" if stub else delivery.exchange,
            routing_key="" if stub else delivery.routing_key,
            received_at=entry.received_at,
            kind=LetterKind.UPDATE,
            seq=entry.seq,
            key=None,  # the stream's position sees to it that it is stored once
            message_id=None if stub else entry.message_id,
            correlation_id=None if stub else entry.correlation_id,
            max_body_bytes=0 if stub else self._max_body_bytes,
            parent=letter_header(headers),
            sent_by=text_header(headers, REPLAY_HEADER),
        )
        entry.update = None
        return True

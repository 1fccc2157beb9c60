"""AMQP properties as they are on the wire: read, and changed in places, while every other byte stays as it is.

A driver decodes properties and encodes them again, and what comes out is not what went in: the types of numbers change,
and a type that it does not know costs the connection. A dead letter has to stay what it is, whatever that is.

Source: AMQP 0-9-1, 4.2.6.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import cast

import pika

from jobtrail.broker.fields import (
    as_value_errors,
    changed_table,
    checked,
    entries,
    read_table,
    read_value,
    short_text,
    text,
    write_table,
    write_time,
)
from jobtrail.models.dead_letters.headers import text_header

_TEXT, _TABLE, _OCTET, _TIME = "text", "table", "octet", "time"
_KINDS = {
    "content_type": _TEXT,
    "content_encoding": _TEXT,
    "headers": _TABLE,
    "delivery_mode": _OCTET,
    "priority": _OCTET,
    "correlation_id": _TEXT,
    "reply_to": _TEXT,
    "expiration": _TEXT,
    "message_id": _TEXT,
    "timestamp": _TIME,
    "type": _TEXT,
    "user_id": _TEXT,
    "app_id": _TEXT,
    "cluster_id": _TEXT,
}
"""The properties in the order in which they are written, and what kind each is; named as pika names them."""
NAMES: Sequence[str] = tuple(_KINDS)
"""The properties' names."""
_FLAGS = {name: 1 << (15 - place) for place, name in enumerate(NAMES)}
_NO_HEADERS = bytes(4)
_NOTHING = b"V"
_OFFSET_HEADER = "x-stream-offset"
_OFFSET_KEY = b"\x0fx-stream-offsetl"
_OFFSET = struct.Struct(">q")


def decode(raw: bytes) -> pika.BasicProperties:
    """Read the flags and values of a content header; empty bytes mean none.

    Texts that are not UTF-8 are escaped, or stay bytes where they are values of headers; `timestamp` is in seconds, and
    a time in headers that is beyond all calendars is a number too. What makes no sense is left out.
    """
    properties = pika.BasicProperties()
    for name, value in split(raw).items():
        setattr(properties, name, _READERS[_KINDS[name]](value))
    return properties


def encode(properties: pika.BasicProperties) -> bytes:
    """Write properties; `timestamp` may be a datetime.

    A type that AMQP does not know is a `TypeError`, a value beyond what it can carry a `ValueError`.
    """
    with as_value_errors():
        return _join({name: _written(name, value) for name, value in vars(properties).items() if value is not None})


def changed(raw: bytes, *, headers: Mapping[str, object | None] | None = None, **values: object | None) -> bytes:
    """Change some properties, given by name, and leave the others as they are to the bit; None takes one away.

    Errors are those of `encode`.
    """
    parts = split(raw)
    with as_value_errors():
        if headers:
            _set_headers(parts, headers)
        for name, new in values.items():
            parts.pop(name, None)
            if new is not None:
                parts[name] = _written(name, new)
    return _join(parts)


def ids(raw: bytes) -> tuple[str | None, str | None]:
    """Read the message id and the correlation id, and nothing else: thousands are read per second.

    Each is None where it is missing or empty.
    """
    parts = split(raw)
    message_id, correlation_id = parts.get("message_id", b""), parts.get("correlation_id", b"")
    return text(message_id[1:]) or None, text(correlation_id[1:]) or None


def header_text(raw: bytes, name: str) -> str | None:
    """Read one header that should be a text, as `text_header` of `models` does; quick where it is missing."""
    key = name.encode()
    if key not in raw:
        return None
    value = dict(entries(split(raw).get("headers", b""))).get(key, _NOTHING)
    return text_header({name: read_value(value)}, name)


def stream_offset(raw: bytes) -> int | None:
    """Read the offset that the broker gives each message of a stream; it replaces a sender's own header."""
    at = raw.find(_OFFSET_KEY)
    if at < 0:
        return None
    if raw.find(_OFFSET_KEY, at + 1) < 0:
        return cast("int", _OFFSET.unpack_from(raw, at + len(_OFFSET_KEY))[0])
    # A sender has put the same bytes into another header, which may stand before the broker's own.
    value = dict(entries(split(raw).get("headers", b""))).get(_OFFSET_HEADER.encode(), _NOTHING)
    return cast("int | None", read_value(value))


def without_offset(raw: bytes) -> bytes:
    """Take the header with the offset away, and with it the table if nothing else is in it; all else stays."""
    if _OFFSET_KEY not in raw:
        return raw
    parts = split(raw)
    _set_headers(parts, {_OFFSET_HEADER: None})
    return _join(parts)


def split(raw: bytes) -> dict[str, bytes]:
    """Part properties by name, each value as it is on the wire; ends where they make no sense."""
    parts: dict[str, bytes] = {}
    at = 2
    for name, kind in _flagged(raw[:at]):
        if kind is _TEXT:
            end = at + 1 + (raw[at] if at < len(raw) else 0)
        elif kind is _TABLE:
            end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        else:
            end = at + (1 if kind is _OCTET else 8)
        if end > len(raw):
            break
        parts[name] = raw[at:end]
        at = end
    return parts


def _set_headers(parts: dict[str, bytes], changes: Mapping[str, object | None]) -> None:
    parts["headers"] = changed_table(parts.get("headers", b""), changes)
    if parts["headers"] == _NO_HEADERS:
        del parts["headers"]


@lru_cache(maxsize=256)
def _flagged(flags: bytes) -> Sequence[tuple[str, str]]:
    """Tell which properties there are, and of which kinds: senders differ little in that."""
    if len(flags) < 2:
        return ()
    bits = int.from_bytes(flags, "big")
    return [(name, kind) for name, kind in _KINDS.items() if bits & _FLAGS[name]]


def _join(parts: Mapping[str, bytes]) -> bytes:
    flags = sum(_FLAGS[name] for name in parts)
    return flags.to_bytes(2, "big") + b"".join(parts[name] for name in NAMES if name in parts)


_READERS: Mapping[str, Callable[[bytes], object]] = {
    _TEXT: lambda value: text(value[1:]),
    _TABLE: read_table,
    _OCTET: lambda value: value[0],
    _TIME: lambda value: int.from_bytes(value, "big"),
}


def _written(name: str, value: object) -> bytes:
    kind = _KINDS[name]
    if kind is _TEXT:
        return short_text(checked(value, str).encode())
    if kind is _TABLE:
        return write_table(checked(value, dict))
    return checked(value, int).to_bytes(1, "big") if kind is _OCTET else write_time(value)

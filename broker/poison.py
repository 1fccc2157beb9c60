"""Finds what a broker would end the connection over, before it is sent: then no sender is lost to a message.

Measured with RabbitMQ 3.10: properties that don't fit into a frame, types of fields that it does not know, floats that
are no number, and tables that are cut. A decimal it takes, but not into a stream.
"""

import math
import struct
from collections.abc import Iterator

from jobtrail.broker.fields import FIXED_BYTES, SIZED
from jobtrail.broker.properties import split

MAX_PROPERTIES_BYTES = 131_072 - 8 - 12
"""RabbitMQ's largest frame, without its own bytes and those of a content header."""
_MORE_FLAGS = 1
_FLOATS = {b"f": struct.Struct(">f"), b"d": struct.Struct(">d")}
_DECIMAL = b"D"
_FIXED_BYTES = {kind: size for kind, size in FIXED_BYTES.items() if kind != b"\0"}
"""As of RabbitMQ, which does not know the other way to write nothing."""
_TABLE = b"F"
_NO_HEADERS = bytes(4)


class _CutError(Exception):
    """A table is not what its lengths say."""


def poison_in(raw: bytes, *, to_stream: bool) -> str | None:
    """Say what in a message's properties a broker would end the connection over; None where it can be sent."""
    if len(raw) > MAX_PROPERTIES_BYTES:
        return f"its properties have {len(raw):,} bytes; a broker takes {MAX_PROPERTIES_BYTES:,}"
    nonsense = nonsense_in(raw)
    if nonsense is not None:
        return nonsense
    for kind, value in _values(split(raw).get("headers", _NO_HEADERS)):
        if kind in _FLOATS and not math.isfinite(_FLOATS[kind].unpack(value)[0]):
            return "a header is a float, but no number"
        if to_stream and kind == _DECIMAL:
            return "a header is a decimal, which a stream may not take"
    return None


def nonsense_in(raw: bytes) -> str | None:
    """Say what is not AMQP as RabbitMQ knows it: a change of the properties would leave it out."""
    parts = split(raw)
    if len(raw) != 2 + sum(map(len, parts.values())) or raw[1] & _MORE_FLAGS:
        return "its properties are no AMQP"
    try:
        for _ in _values(parts.get("headers", _NO_HEADERS)):
            pass
    except _CutError:
        return "its headers are no AMQP"
    return None


def _values(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk through all values of a fixed size, also those within tables and arrays, however deep they are nested."""
    open_tables = [(len(table), True)]
    at = 4
    while open_tables:
        end, has_names = open_tables[-1]
        if at == end:
            open_tables.pop()
            continue
        at += 1 + table[at] if has_names else 0
        kind = table[at : at + 1]
        begin = at + 1
        if kind in SIZED:
            begin += 4
            at = begin + int.from_bytes(table[begin - 4 : begin], "big")
        elif kind in _FIXED_BYTES:
            at = begin + _FIXED_BYTES[kind]
        else:
            raise _CutError
        if at > end:
            raise _CutError
        if kind in (_TABLE, b"A"):
            open_tables.append((at, kind == _TABLE))
            at = begin
        elif kind in _FIXED_BYTES:
            yield kind, table[begin:at]

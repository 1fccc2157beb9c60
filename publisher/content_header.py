"""AMQP properties as they are on the wire: read, and changed in places, while every other byte stays as it is.

The driver decodes properties and encodes them anew, and what comes out is not what went in: pamqp 4.0 writes floats in
half their precision, takes times behind 2106 for milliseconds and cuts long names; a text that is not UTF-8 costs the
connection. A dead letter has to stay what it is, whatever that is.

Source: AMQP 0-9-1, 4.2.5 and 4.2.6, with RabbitMQ's errata for the types of fields.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

from pamqp.commands import Basic

T = TypeVar("T")

_NAMES = tuple(Basic.Properties.attributes())
_TABLE, _OCTET, _TIME, _TEXT = "table", "octet", "timestamp", "shortstr"
_KINDS = {name: Basic.Properties.amqp_type(name) for name in _NAMES}
_FIXED_BYTES = {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"f": 4, b"D": 5}
_FIXED_BYTES |= {b"l": 8, b"L": 8, b"d": 8, b"T": 8, b"V": 0, b"\0": 0}
_NUMBERS = {b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"L": ">Q"}
_NUMBERS |= {b"f": ">f", b"d": ">d", b"t": ">?"}
_MAX_INT32 = 2**31 - 1
_LONGEST_NAME = 255
_NO_HEADERS = bytes(4)
_PERSISTENT = 2
_DEEPEST = 50
"""Tables within tables that are read; what is nested deeper stays bytes."""


class Verbatim(Basic.Properties):
    """Properties that are sent as these bytes.

    Returned messages are not told apart by them: publish through a `publisher.raw_transport.RawTransport`.

    Args:
        raw: The bytes.
    """

    def __init__(self, raw: bytes) -> None:
        super().__init__(message_id="not sent")  # without one the driver makes one up, which takes time
        self._raw = raw

    def marshal(self) -> bytes:
        """Return the bytes."""
        return self._raw


def decode(raw: bytes) -> Basic.Properties:
    """Read properties.

    Args:
        raw: Flags and values of a content header; empty for none.

    Returns:
        What they mean. Texts that are not UTF-8 are escaped, or bytes where they are values of headers; a time that is
        beyond all calendars is a number. What makes no sense is left out.
    """
    properties = Basic.Properties()
    for name, value in _split(raw).items():
        setattr(properties, name, _READERS[_KINDS[name]](value))
    return properties


def encode(properties: Basic.Properties) -> bytes:
    """Write properties.

    Args:
        properties: The properties.

    Returns:
        Their flags and values.

    Raises:
        TypeError: A value has a type that AMQP does not know.
        ValueError: A value is beyond what AMQP can carry.
    """
    with _as_value_errors():
        return _join({name: _written(name, value) for name, value in properties if value is not None})


def changed(raw: bytes, *, headers: Mapping[str, object | None] | None = None, **values: object | None) -> bytes:
    """Change some of the properties, and leave the others as they are to the bit.

    Args:
        raw: The properties.
        headers: Headers by name; None takes one away.
        **values: Other properties by name; None takes one away.

    Returns:
        The properties.

    Raises:
        TypeError: A value has a type that AMQP does not know.
        ValueError: A value is beyond what AMQP can carry.
    """
    parts = _split(raw)
    with _as_value_errors():
        if headers:
            parts["headers"] = _changed_table(parts.pop("headers", b""), headers)
            if parts["headers"] == _NO_HEADERS:
                del parts["headers"]
        for name, new in values.items():
            parts.pop(name, None)
            if new is not None:
                parts[name] = _written(name, new)
    return _join(parts)


def letter_properties(raw: bytes, headers: Mapping[str, object]) -> bytes:
    """Make the properties of a message that is put into the dead letters.

    It must not expire there, go to further queues once more, or be refused as of another account; all else stays.

    Args:
        raw: The message's properties.
        headers: The headers that say why; its own stay beside them.

    Returns:
        The properties.
    """
    told = {**dict.fromkeys(("CC", "BCC")), **headers}
    return changed(raw, headers=told, delivery_mode=_PERSISTENT, expiration=None, user_id=None)


def _changed_table(table: bytes, changes: Mapping[str, object | None]) -> bytes:
    names = {name.encode(): value for name, value in changes.items()}
    entries = [(name, value) for name, value in _entries(table) if name not in names]
    entries += [(name, _value(value)) for name, value in names.items() if value is not None]
    return _sized(b"".join(_name(name) + value for name, value in entries))


def _split(raw: bytes) -> dict[str, bytes]:
    """Part properties by name; ends where they make no sense."""
    parts: dict[str, bytes] = {}
    at = 2
    for name, kind in _flagged(raw[:at]):
        if kind == _TEXT:
            end = at + 1 + (raw[at] if at < len(raw) else 0)
        elif kind == _TABLE:
            end = at + 4 + int.from_bytes(raw[at : at + 4], "big")
        else:
            end = at + (1 if kind == _OCTET else 8)
        if end > len(raw):
            break
        parts[name] = raw[at:end]
        at = end
    return parts


@lru_cache(maxsize=256)
def _flagged(flags: bytes) -> Sequence[tuple[str, str]]:
    """Tell which properties there are, and of which kinds: senders differ little in that."""
    if len(flags) < 2:
        return ()
    bits = int.from_bytes(flags, "big")
    return [(name, _KINDS[name]) for name in _NAMES if bits & Basic.Properties.flags[name]]


def _join(parts: Mapping[str, bytes]) -> bytes:
    flags = sum(Basic.Properties.flags[name] for name in parts)
    return flags.to_bytes(2, "big") + b"".join(parts[name] for name in _NAMES if name in parts)


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Part a table into names and values with their types; ends where it makes no sense."""
    at = 4
    while at < len(table):
        name_end = at + 1 + table[at]
        end = _end_of_value(table, name_end)
        if end is None:
            return
        yield table[at + 1 : name_end], table[name_end:end]
        at = end


def _end_of_value(data: bytes, at: int) -> int | None:
    kind = data[at : at + 1]
    size = _FIXED_BYTES.get(kind)
    if size is None:
        if kind not in (b"S", b"x", b"A", b"F") or at + 5 > len(data):
            return None
        size = 4 + int.from_bytes(data[at + 1 : at + 5], "big")
    end = at + 1 + size
    return end if end <= len(data) else None


def _read_table(table: bytes, depth: int = 0) -> dict[str, object]:
    return {_text(name): _read_value(value, depth) for name, value in _entries(table)}


def _read_array(array: bytes, depth: int) -> list[object]:
    values, at = [], 4
    while at < len(array):
        end = _end_of_value(array, at)
        if end is None:
            break
        values.append(_read_value(array[at:end], depth))
        at = end
    return values


def _read_value(data: bytes, depth: int) -> object:
    kind, value = data[:1], data[1:]
    if kind in _NUMBERS:
        return struct.unpack(_NUMBERS[kind], value)[0]
    if kind in (b"F", b"A") and depth < _DEEPEST:
        return _read_table(value, depth + 1) if kind == b"F" else _read_array(value, depth + 1)
    read = _READ_VALUES.get(kind, _read_bytes)
    return read(value)


def _read_bytes(value: bytes) -> bytearray:
    return bytearray(value[4:])


def _read_string(value: bytes) -> str | bytes:
    try:
        return value[4:].decode()
    except UnicodeDecodeError:
        return value[4:]


def _read_decimal(value: bytes) -> Decimal:
    return Decimal(int.from_bytes(value[1:], "big", signed=True)).scaleb(-value[0])


def _read_nothing(_value: bytes) -> None:
    return None


def _read_time(value: bytes) -> datetime | int:
    seconds = int.from_bytes(value, "big")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


_READ_VALUES: Mapping[bytes, Callable[[bytes], object]] = {
    b"S": _read_string,
    b"T": _read_time,
    b"D": _read_decimal,
    b"V": _read_nothing,
    b"\0": _read_nothing,
}
_READERS: Mapping[str, Callable[[bytes], object]] = {
    _TEXT: lambda value: _text(value[1:]),
    _TABLE: _read_table,
    _OCTET: lambda value: value[0],
    _TIME: _read_time,
}


def _written(name: str, value: object) -> bytes:
    match _KINDS[name]:
        case "shortstr":
            return _name(_checked(value, str).encode())
        case "table":
            return _write_table(_checked(value, dict))
        case "octet":
            return _checked(value, int).to_bytes(1, "big")
    return _write_time(value)


def _value(value: object) -> bytes:
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"AMQP knows no {type(value).__name__}")


def _write_int(value: int) -> bytes:
    return struct.pack(">ci", b"I", value) if abs(value) <= _MAX_INT32 else struct.pack(">cq", b"l", value)


def _write_table(table: Mapping[object, object]) -> bytes:
    return _sized(b"".join(_name(_checked(name, str).encode()) + _value(each) for name, each in table.items()))


def _write_time(value: object) -> bytes:
    if isinstance(value, datetime):
        value = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return _checked(value, int).to_bytes(8, "big")


def _write_decimal(value: Decimal) -> bytes:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_LONGEST_NAME:
        raise ValueError("AMQP's decimals are numbers of up to 255 places")
    places = max(0, -exponent)
    return bytes([places]) + int(value.scaleb(places)).to_bytes(4, "big", signed=True)


def _name(data: bytes) -> bytes:
    if len(data) > _LONGEST_NAME:
        raise ValueError(f"a name or a short text has {len(data)} bytes; AMQP allows {_LONGEST_NAME}")
    return bytes([len(data)]) + data


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


_WRITERS: Mapping[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"t" + bytes([value]),
    int: _write_int,
    float: lambda value: struct.pack(">cd", b"d", value),
    str: lambda value: b"S" + _sized(value.encode()),
    bytes: lambda value: b"x" + _sized(value),
    bytearray: lambda value: b"x" + _sized(bytes(value)),
    datetime: lambda value: b"T" + _write_time(value),
    Decimal: lambda value: b"D" + _write_decimal(value),
    dict: lambda value: b"F" + _write_table(value),
    list: lambda value: b"A" + _sized(b"".join(map(_value, value))),
    type(None): lambda _value: b"V",
}
"""How each type is written; a bool is an int too, hence the order."""


def _checked(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} is needed, not {type(value).__name__}")
    return value


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """Turn what is raised for values that don't fit into one kind of error."""
    try:
        yield
    except (struct.error, OverflowError, RecursionError) as error:
        raise ValueError(f"AMQP can't carry this: {error}") from error

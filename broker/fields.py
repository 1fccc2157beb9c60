"""AMQP's tables of fields, such as a message's headers: read and written in parts, the rest untouched.

Source: AMQP 0-9-1, 4.2.5, with RabbitMQ's errata for the types of fields.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

T = TypeVar("T")

FIXED_BYTES: Mapping[bytes, int] = (
    {b"t": 1, b"b": 1, b"B": 1, b"s": 2, b"u": 2, b"I": 4, b"i": 4, b"f": 4, b"D": 5}
    | {b"l": 8, b"L": 8, b"d": 8, b"T": 8, b"V": 0, b"\0": 0}
)  # fmt: skip
"""Bytes of a value, by its type; those of the other types begin with their length."""
SIZED = frozenset({b"S", b"x", b"A", b"F"})
"""The types whose values begin with four bytes of length."""
_NUMBERS = {b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I", b"l": ">q", b"L": ">Q"}
_NUMBERS |= {b"f": ">f", b"d": ">d", b"t": ">?"}
_MAX_INT32 = 2**31 - 1
_LONGEST_NAME = 255
_DEEPEST = 50
"""Tables within tables that are read; what is nested deeper stays bytes."""


def entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Part a table into names and values with their types; ends where it makes no sense."""
    at = 4
    while at < len(table):
        name_end = at + 1 + table[at]
        end = _end_of_value(table, name_end)
        if end is None:
            return
        yield table[at + 1 : name_end], table[name_end:end]
        at = end


def read_table(table: bytes, depth: int = 0) -> dict[str, object]:
    """Read a table; what makes no sense, and all behind it, is left out."""
    return {text(name): read_value(value, depth) for name, value in entries(table)}


def read_value(data: bytes, depth: int = 0) -> object:
    """Read a value that begins with its type; one of an unknown type, or nested too deeply, comes as its bytes."""
    kind, value = data[:1], data[1:]
    if kind in _NUMBERS:
        return struct.unpack(_NUMBERS[kind], value)[0]
    if kind in (b"F", b"A") and depth < _DEEPEST:
        return read_table(value, depth + 1) if kind == b"F" else _read_array(value, depth + 1)
    read = _READ_VALUES.get(kind, _read_bytes)
    return read(value)


def changed_table(table: bytes, changes: Mapping[str, object | None]) -> bytes:
    """Change entries of a table, and leave the others as they are; None takes one away."""
    names = {name.encode(): value for name, value in changes.items()}
    kept = [(name, value) for name, value in entries(table) if name not in names]
    kept += [(name, _value(value)) for name, value in names.items() if value is not None]
    return _sized(b"".join(short_text(name) + value for name, value in kept))


def write_table(table: Mapping[object, object]) -> bytes:
    """Write a table with its length."""
    return _sized(b"".join(short_text(checked(name, str).encode()) + _value(each) for name, each in table.items()))


def write_time(value: object) -> bytes:
    """Write a time, which may be a number of seconds, without its type."""
    if isinstance(value, datetime):
        value = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return checked(value, int).to_bytes(8, "big")


def short_text(data: bytes) -> bytes:
    """Write a name, or a short text, with its length."""
    if len(data) > _LONGEST_NAME:
        raise ValueError(f"a name or a short text has {len(data)} bytes; AMQP allows {_LONGEST_NAME}")
    return bytes([len(data)]) + data


def text(data: bytes) -> str:
    """Read a name, or a short text, without its length."""
    return data.decode("utf-8", "backslashreplace")


def checked(value: object, kind: type[T]) -> T:
    """Return a value if it is of a type."""
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} is needed, not {type(value).__name__}")
    return value


@contextmanager
def as_value_errors() -> Iterator[None]:
    """Turn what is raised for values that don't fit into one kind of error."""
    try:
        yield
    except (struct.error, OverflowError, RecursionError) as error:
        raise ValueError(f"AMQP can't carry this: {error}") from error


def _end_of_value(data: bytes, at: int) -> int | None:
    kind = data[at : at + 1]
    size = FIXED_BYTES.get(kind)
    if size is None:
        if kind not in SIZED or at + 5 > len(data):
            return None
        size = 4 + int.from_bytes(data[at + 1 : at + 5], "big")
    end = at + 1 + size
    return end if end <= len(data) else None


def _read_array(array: bytes, depth: int) -> list[object]:
    values, at = [], 4
    while at < len(array):
        end = _end_of_value(array, at)
        if end is None:
            break
        values.append(read_value(array[at:end], depth))
        at = end
    return values


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
    """Read a time; one beyond all calendars is a number."""
    seconds = int.from_bytes(value, "big")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return seconds


def _value(value: object) -> bytes:
    for kind, write in _WRITERS.items():
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"AMQP has no type for {type(value).__name__}")


def _write_int(value: int) -> bytes:
    return struct.pack(">ci", b"I", value) if abs(value) <= _MAX_INT32 else struct.pack(">cq", b"l", value)


def _write_decimal(value: Decimal) -> bytes:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -_LONGEST_NAME:
        raise ValueError("AMQP's decimals are numbers of up to 255 places")
    places = max(0, -exponent)
    return bytes([places]) + int(value.scaleb(places)).to_bytes(4, "big", signed=True)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


_READ_VALUES: Mapping[bytes, Callable[[bytes], object]] = {
    b"S": _read_string,
    b"T": _read_time,
    b"D": _read_decimal,
    b"V": _read_nothing,
    b"\0": _read_nothing,
}
_WRITERS: Mapping[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"t" + bytes([value]),
    int: _write_int,
    float: lambda value: struct.pack(">cd", b"d", value),
    str: lambda value: b"S" + _sized(value.encode()),
    bytes: lambda value: b"x" + _sized(value),
    bytearray: lambda value: b"x" + _sized(bytes(value)),
    datetime: lambda value: b"T" + write_time(value),
    Decimal: lambda value: b"D" + _write_decimal(value),
    dict: lambda value: b"F" + write_table(value),
    list: lambda value: b"A" + _sized(b"".join(map(_value, value))),
    type(None): lambda _value: b"V",
}
"""How each type is written; a bool is an int too, hence the order."""

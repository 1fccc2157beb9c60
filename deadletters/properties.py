"""AMQP properties as bytes, which are kept, and as what they mean, which is shown and edited.

The bytes are those of AMQP's content header, as the broker sent them (`broker.properties`).
"""

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pika

from jobtrail.broker.properties import NAMES, encode
from jobtrail.models.errors import SettingError
from jobtrail.models.redaction import redact
from jobtrail.models.times import rfc3339

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_READERS: Mapping[str, Callable[[str], object]] = {
    "base64": lambda text: bytearray(base64.b64decode(text, validate=True)),
    "time": datetime.fromisoformat,
    "decimal": Decimal,
}
_MARKS = (*_READERS, "table")
"""What JSON has no type for is an object with one of these as its only name."""


def readable(properties: pika.BasicProperties) -> dict[str, Json]:
    """Make JSON of properties for people, secrets masked.

    Bytes become `{"base64": …}`, times `{"time": …}`, decimals `{"decimal": …}`.
    """
    return {name: _masked(value) for name, value in exported(properties).items()}


def exported(properties: pika.BasicProperties) -> dict[str, Json]:
    """Make JSON of properties that `imported` reads back, secrets included."""
    values = {name: value for name, value in vars(properties).items() if value is not None and value not in ("", {})}
    if "timestamp" in values:
        values["timestamp"] = _moment(values["timestamp"])
    return {name: _json(value) for name, value in values.items()}


def with_todays_names(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Rename what versions before 0.2 called otherwise."""
    return {"type" if name == "message_type" else name: value for name, value in fields.items()}


def imported(fields: Mapping[str, object]) -> pika.BasicProperties:
    """Read properties from the JSON that `exported` makes.

    Raises:
        SettingError: A property does not exist, or its value is not valid.
    """
    unknown = set(fields).difference(NAMES)
    if unknown:
        raise SettingError(f"unknown AMQP property {min(unknown)!r}")
    properties = pika.BasicProperties()
    try:
        for name, field in fields.items():
            value: Any = _value(field)
            is_time = name == "timestamp" and isinstance(value, str)
            setattr(properties, name, _seconds(value) if is_time else value)
        encode(properties)
    except (ValueError, TypeError, InvalidOperation) as error:
        raise SettingError(f"invalid AMQP properties: {redact(str(error))}") from error
    return properties


def _moment(seconds: int) -> Json:
    try:
        return rfc3339(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return seconds


def _seconds(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _json(value: object) -> Json:
    if isinstance(value, dict):
        table = {str(name): _json(each) for name, each in value.items()}
        return {"table": table} if len(table) == 1 and next(iter(table)) in _MARKS else table
    if isinstance(value, list):
        return [_json(each) for each in value]
    if isinstance(value, datetime):
        return {"time": rfc3339(value if value.tzinfo else value.replace(tzinfo=UTC))}
    if isinstance(value, bytes | bytearray):
        return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)


def _value(value: object) -> object:
    if isinstance(value, list):
        return [_value(each) for each in value]
    if not isinstance(value, dict):
        return value
    mark, content = next(iter(value.items())) if len(value) == 1 else ("", None)
    if mark in _READERS and isinstance(content, str):
        return _READERS[mark](content)
    if mark == "table" and isinstance(content, dict):
        value = content
    return {name: _value(each) for name, each in value.items()}


def _masked(value: Json) -> Json:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_masked(each) for each in value]
    if isinstance(value, dict):
        return {name: _masked(each) for name, each in value.items()}
    return value

"""What an extractor says of itself in its heartbeats, as text, with secrets masked."""

import json
from functools import lru_cache

from pydantic_core import from_json, to_json

from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.redaction import MASK, redact

MAX_INFO_BYTES = 1024 * 1024
"""Largest `extractor_info` that is stored, as JSON text."""
_MAX_KNOWN_BYTES = 8 * 1024
"""Longer infos are masked anew each time, so that what is remembered stays small."""
_SECRET_NAMES = frozenset({"secretkey", "apikey", "password", "passwd", "pwd", "token", "accesstoken", "secret"})


def info_json(info: dict[str, object]) -> str:
    """Write an info as text: MongoDB takes neither every number nor any depth, and has its own use for `$ref`.

    Args:
        info: The info, as it came.

    Returns:
        JSON with sorted keys and masked secrets, so that equal infos have equal texts.

    Raises:
        DecodeError: It holds a number that is none, or is too large.
    """
    sent = to_json(info, inf_nan_mode="constants")
    return _known_info(sent) if len(sent) <= _MAX_KNOWN_BYTES else _masked_info(sent)


def _masked_info(sent: bytes) -> str:
    try:
        text = json.dumps(_masked(from_json(sent)), sort_keys=True, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise DecodeError(DeadLetterReason.OUT_OF_RANGE, f"extractor_info: {error}") from error
    if len(text) > MAX_INFO_BYTES:
        detail = f"extractor_info has {len(text)} bytes; the limit is {MAX_INFO_BYTES}"
        raise DecodeError(DeadLetterReason.TOO_LARGE, detail)
    return text


_known_info = lru_cache(maxsize=1024)(_masked_info)
"""Heartbeats repeat the same infos for ever."""


def _masked(value: object) -> object:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {name: _masked_field(name, item) for name, item in value.items()}
    return value


def _masked_field(name: str, value: object) -> object:
    return MASK if isinstance(value, str) and value and _is_secret(name) else _masked(value)


@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    return name.replace("_", "").replace("-", "").lower() in _SECRET_NAMES

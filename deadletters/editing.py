"""Edits what a replay will send: fields, the whole body, headers. The dead letter keeps its own bytes."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from jobtrail.broker.properties import changed
from jobtrail.deadletters.properties import Json
from jobtrail.models.dead_letters.dead_letter import DeadLetter, Edit
from jobtrail.models.errors import SettingError
from jobtrail.models.redaction import MASK, redact


def masked_body(body: bytes) -> str | None:
    """Decode a body and mask its secrets, for people; None if it is not UTF-8."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return redact(text)


def with_fields(
    letter: DeadLetter, fields: Mapping[str, Json | None], headers: Mapping[str, Json | None], by: str
) -> Edit:
    """Change fields of a JSON body, and headers, on top of an earlier edit.

    A dotted name reaches into objects; the value None removes a field or a header.

    Raises:
        SettingError: The body is not a JSON object, or a name leads through something that is not one.
    """
    body, properties = letter.outgoing
    if fields:
        body = _dumped(_changed(_object(body), fields))
    return _edit(body, properties, headers, by)


def with_body(letter: DeadLetter, text: str, headers: Mapping[str, Json | None], by: str) -> Edit:
    """Replace the body by a text that was edited from `masked_body`; secrets that are still masked stay.

    Raises:
        SettingError: It is ambiguous which secret a mask stands for.
    """
    body, properties = letter.outgoing
    return _edit(_unmasked(text, body), properties, headers, by)


def _edit(body: bytes, packed: bytes, headers: Mapping[str, Json | None], by: str) -> Edit:
    try:
        return Edit(body=body, properties=changed(packed, headers=headers), by=by, at=datetime.now(UTC))
    except (TypeError, ValueError) as error:
        raise SettingError(f"invalid header: {redact(str(error))}") from error


def _object(body: bytes) -> dict[str, Json]:
    try:
        value = json.loads(body if _is_utf8(body) else body.decode("latin-1"))
    except (ValueError, RecursionError) as error:
        raise SettingError(f"the body is not valid JSON: edit it as a whole ({redact(str(error))})") from error
    if not isinstance(value, dict):
        raise SettingError("the body is JSON, but not an object: edit it as a whole")
    return value


def _changed(value: dict[str, Json], fields: Mapping[str, Json | None]) -> dict[str, Json]:
    for name, new in fields.items():
        *path, last = name.split(".")
        place = value
        for step in path:
            inner = place.get(step, {}) if new is None else place.setdefault(step, {})
            if not isinstance(inner, dict):
                raise SettingError(f"{name}: {step} is not an object")
            place = inner
        if new is None:
            place.pop(last, None)
        else:
            place[last] = new
    return value


def _unmasked(text: str, original: bytes) -> bytes:
    """Put back the secrets that were masked in the text."""
    shown = masked_body(original)
    if shown is None or shown == original.decode():
        return text.encode()
    if text == shown:
        return original
    try:
        edited = _dumped(_restored(json.loads(text), json.loads(shown), json.loads(original)))
    except (ValueError, RecursionError):
        edited = text.encode()
    if edited.count(MASK.encode()) > original.count(MASK.encode()):
        raise SettingError(f"write out the secret that {MASK} stands for: it is ambiguous which one is meant")
    return edited


def _restored(new: Json, masked: Json, whole: Json) -> Json:
    if isinstance(new, dict) and isinstance(masked, dict) and isinstance(whole, dict):
        return {
            name: _restored(value, masked[name], whole[name]) if name in masked and name in whole else value
            for name, value in new.items()
        }
    if isinstance(new, list) and isinstance(masked, list) and isinstance(whole, list) and len(new) == len(whole):
        return [_restored(*values) for values in zip(new, masked, whole, strict=True)]
    return whole if new == masked else new


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _dumped(value: Json) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can only escape
        return json.dumps(value).encode()

"""Dead letters as JSON Lines, for export and import: bytes and properties, secrets included."""

import base64
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from jobtrail.broker.properties import decode, encode
from jobtrail.deadletters.properties import Json, exported, imported, with_todays_names
from jobtrail.deadletters.reading import caused
from jobtrail.models.dead_letters.dead_letter import ID_KEY, Cause, DeadLetter, LetterKind
from jobtrail.models.errors import JobTrailError, SettingError
from jobtrail.models.jobs.wire import MAX_INT64
from jobtrail.models.times import rfc3339

FORMAT = "jobtrail.dead-letter/1"


def export_line(letter: DeadLetter) -> str:
    """Write a dead letter, bytes included, as one JSON object without a line break."""
    cause = letter.cause
    fields: dict[str, Json] = {
        "format": FORMAT,
        "id": letter.id,
        "key": _key(letter),
        "kind": letter.kind.value,
        "state": letter.state.value,
        "queue": cause.queue,
        "origin": cause.origin,
        "origin_seq": letter.origin_seq,
        "origin_exchange": letter.origin_exchange,
        "origin_routing_key": letter.origin_routing_key,
        "reason": cause.reason,
        "error": letter.error,
        "extractor_id": cause.extractor_id,
        "version": cause.version,
        "job_id": letter.job_id,
        "deaths": letter.deaths,
        "happened_at": rfc3339(letter.happened_at),
        "captured_at": rfc3339(letter.captured_at),
        "properties": exported(decode(letter.properties)),
        "properties_base64": base64.b64encode(letter.properties).decode(),
    }
    try:
        fields["body"] = letter.body.decode()
    except UnicodeDecodeError:
        fields["body_base64"] = base64.b64encode(letter.body).decode()
    return json.dumps(fields, ensure_ascii=False)


def read_lines(lines: Iterable[bytes]) -> Iterator[DeadLetter]:
    """Read dead letters from lines, blank ones skipped; each is open, and has a key by which a second import knows it.

    Raises:
        SettingError: A line is not an exported dead letter; the message names the line.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                yield _read(json.loads(line))
            except (ValueError, KeyError, TypeError, JobTrailError) as error:
                raise SettingError(f"line {number} is not an exported dead letter: {_words(error)}") from error


def _read(fields: dict[str, Json]) -> DeadLetter:
    if fields["format"] != FORMAT:
        raise SettingError(f"its format is not {FORMAT}")
    body = _text(fields, "body").encode() if "body" in fields else base64.b64decode(_text(fields, "body_base64"))
    packed = _properties(fields)
    properties = decode(packed)
    job_id, origin_seq, deaths = fields["job_id"], fields["origin_seq"], fields["deaths"]
    letter = DeadLetter(
        id="",
        cause_id="",
        cause=Cause(
            queue=_text(fields, "queue"),
            origin=_text(fields, "origin"),
            reason=_text(fields, "reason"),
            error="",
            extractor_id=_text(fields, "extractor_id"),
            version=_text(fields, "version"),
        ),
        kind=LetterKind(_text(fields, "kind")),
        error=_text(fields, "error"),
        captured_at=datetime.now(UTC),
        happened_at=datetime.fromisoformat(_text(fields, "happened_at")),
        seq=0,
        origin_seq=_count(origin_seq),
        origin_exchange=_text(fields, "origin_exchange"),
        origin_routing_key=_text(fields, "origin_routing_key"),
        deaths=_count(deaths) or 1,
        job_id=job_id if isinstance(job_id, str) else None,
        message_id=properties.message_id or None,
        correlation_id=properties.correlation_id or None,
        size_bytes=len(body),
        body=body,
        properties=packed,
        key=_text(fields, "key"),
    )
    caused(letter)
    return letter


def _properties(fields: dict[str, Json]) -> bytes:
    """Take the bytes, unless the readable properties beside them were edited."""
    readable = fields["properties"]
    if not isinstance(readable, dict):
        raise SettingError("its properties are not an object")
    readable = with_todays_names(readable)
    if "properties_base64" in fields:
        packed = base64.b64decode(_text(fields, "properties_base64"))
        if json.dumps(exported(decode(packed))) == json.dumps(readable):
            return packed
    return encode(imported(readable))


def _count(value: Json) -> int | None:
    return value if isinstance(value, int) and 0 < value <= MAX_INT64 else None


def _text(fields: dict[str, Json], name: str) -> str:
    value = fields[name]
    if not isinstance(value, str):
        raise SettingError(f"{name} is not a text")
    return value


def _key(letter: DeadLetter) -> str:
    return letter.key or f"{ID_KEY}{letter.id}"


def _words(error: Exception) -> str:
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:200]

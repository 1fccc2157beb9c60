"""One dead letter as operators see it: its bytes and their meaning, the reason, and what a replay would do."""

from dataclasses import dataclass

from pydantic_core import from_json

from jobtrail.broker.properties import decode
from jobtrail.deadletters.dry_run import DryRunner
from jobtrail.deadletters.editing import masked_body
from jobtrail.deadletters.outgoing import target_of
from jobtrail.deadletters.properties import Json, readable
from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.dead_letters.dry_run import Judgement
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.jobs.jobs import JobRepository

SHOWN_BYTES = 64 * 1024
"""Bytes of a body that are shown."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Content:
    """A body and its properties, secrets masked."""

    text: str | None
    """The body as text; None if it is not UTF-8."""
    decoded: Json
    """The body's JSON; None if it is not JSON."""
    hexadecimal: str
    """The body's first bytes; empty if it is text."""
    size_bytes: int
    shown_bytes: int
    properties: dict[str, Json]
    """AMQP properties, headers included."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LetterView:
    """One dead letter with all that is known about it."""

    letter: DeadLetter
    content: Content
    edited: Content | None
    """What a replay sends instead, if it was edited."""
    reason_words: str
    target: str
    """Where a replay would send it; empty if unknown."""
    judgement: Judgement
    """What a replay would do today."""
    has_job: bool
    """Whether its job is on record."""


async def look_at(settings: Settings, database: Database, letter_id: str) -> LetterView:
    """Read a dead letter with all that is known about it; `NotFoundError` if it does not exist."""
    letter = await LetterRepository(database).get(letter_id)
    (judgement,) = await DryRunner(settings, database).judge([letter])
    jobs = await JobRepository(database).some([letter.job_id]) if letter.job_id else ()
    return LetterView(
        letter=letter,
        content=content_of(letter.body, letter.properties),
        edited=content_of(letter.edit.body, letter.edit.properties) if letter.edit else None,
        reason_words=reason_words(letter.cause.reason),
        target=target_of(letter, None, settings),
        judgement=judgement,
        has_job=bool(jobs),
    )


def content_of(body: bytes, properties: bytes) -> Content:
    """Make bytes readable."""
    text = masked_body(body)
    return Content(
        text=None if text is None else text[:SHOWN_BYTES],
        decoded=_decoded(text),
        hexadecimal="" if text is not None else _hexadecimal(body[:1024]),
        size_bytes=len(body),
        shown_bytes=min(len(body), 1024 if text is None else SHOWN_BYTES),
        properties=readable(decode(properties)),
    )


def _decoded(text: str | None) -> Json:
    if text is None or len(text) > SHOWN_BYTES:
        return None
    try:
        # As the consumer reads it: lone surrogates, and what is nested too deeply, could not be sent on.
        value: Json = from_json(text)
    except ValueError:
        return None
    return value


def _hexadecimal(data: bytes) -> str:
    """Dump bytes, sixteen a line, with their ASCII characters."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {letters}")
    return "\n".join(lines)

"""One dead letter as operators look at it: its bytes, what they mean, why it is there, what a replay would come to."""

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
    """Bytes that are, or would be, sent. Secrets are masked in all of it."""

    text: str | None
    """The body as text; None where it is none."""
    decoded: Json
    """The body's JSON; None where it is none."""
    hexadecimal: str
    """The body's first bytes; empty where it is text."""
    size_bytes: int
    shown_bytes: int
    properties: dict[str, Json]
    """AMQP properties, headers included."""


@dataclass(slots=True, frozen=True, kw_only=True)
class LetterView:
    """One letter, looked at."""

    letter: DeadLetter
    content: Content
    edited: Content | None
    """What a replay sends instead, where it was edited."""
    reason_words: str
    target: str
    """Where a replay would send it; empty where nobody knows."""
    judgement: Judgement
    """What a replay would come to today."""
    has_job: bool
    """Whether its job is on record."""


async def look_at(settings: Settings, database: Database, letter_id: str) -> LetterView:
    """Look at a letter.

    Args:
        settings: The settings.
        database: The trail's database.
        letter_id: Its id.

    Returns:
        All there is to see.

    Raises:
        NotFoundError: There is no such letter.
        StoreError: The database can't be reached.
    """
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
    """Make bytes readable.

    Args:
        body: The body.
        properties: The properties, packed.

    Returns:
        What they mean.
    """
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
        # As the consumer reads it: half of a surrogate pair, and what is nested too deeply, could not be told on.
        value: Json = from_json(text)
    except ValueError:
        return None
    return value


def _hexadecimal(data: bytes) -> str:
    """Write bytes as sixteen a line, with what of them is text."""
    lines = []
    for at in range(0, len(data), 16):
        row = data[at : at + 16]
        letters = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:08x}  {row.hex(' '):<47}  {letters}")
    return "\n".join(lines)

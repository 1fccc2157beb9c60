"""Makes letters of captured messages, whatever those are, and completes them by what the trail knows."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

import structlog

from jobtrail.broker.channel import Delivery
from jobtrail.broker.properties import changed, decode
from jobtrail.deadletters.reading import Found, caused, read_letter
from jobtrail.models.dead_letters.dead_letter import Cause, DeadLetter, LetterKind
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.redaction import redact
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.capture import CapturedLetter
from jobtrail.store.extractors import ExtractorRepository
from jobtrail.store.jobs.jobs import JobRepository

log = structlog.get_logger()

_END_WITHIN_S = 5.0
"""Seconds that the end of a job may take to be stored after its request was given up."""
_FRESH = 20
"""Up to so many requests at once may have been given up just now; more of them are a backlog."""
_POLL_S = 0.1
_BROKERS_COUNTS = dict.fromkeys(("x-delivery-count", "x-acquired-count"))
"""Headers in which the broker counts how often it handed a message out; they are none of the message's."""
_FINGERPRINT_BYTES = 8


class LetterMaker:
    """Makes the letters of one queue."""

    def __init__(self, queue: str, settings: Settings, database: Database) -> None:
        self._queue = queue
        self._settings = settings
        self._jobs = JobRepository(database)
        self._extractors = ExtractorRepository(database)

    async def make(self, batch: Sequence[Delivery]) -> Sequence[CapturedLetter]:
        """Make a dead letter of each message, whatever it is."""
        now = datetime.now(UTC)
        letters = [self._read(delivery, now) for delivery in batch]
        errors = await self._job_errors(
            [letter for letter in letters if letter.cause.reason == DeadLetterReason.GAVE_UP]
        )
        versions = await self._versions({letter.cause.extractor_id for letter in letters if letter.cause.extractor_id})
        for letter in letters:
            caused(letter, error=errors.get(letter.job_id or ""), version=versions.get(letter.cause.extractor_id))
        return [
            CapturedLetter(letter=letter, redelivered=delivery.redelivered)
            for letter, delivery in zip(letters, batch, strict=True)
        ]

    def _read(self, delivery: Delivery, now: datetime) -> DeadLetter:
        try:
            letter = self._looked_into(delivery, now)
        except Exception as error:
            # Whatever somebody sent that we did not think of: to end here would be to begin again with it for ever.
            log.exception("Message could not be read", action="dead_letters.unreadable", queue=self._queue)
            letter = _plain(self._queue, delivery.body, delivery.raw, now, f"{type(error).__name__}: {error}")
        if letter.key is None:
            letter.fingerprint = fingerprint(letter.body, letter.properties)
        return letter

    def _looked_into(self, delivery: Delivery, now: datetime) -> DeadLetter:
        found = Found(
            queue=self._queue,
            body=delivery.body,
            raw=delivery.raw,
            properties=decode(delivery.raw),
            exchange=delivery.exchange,
            routing_key=delivery.routing_key,
            at=now,
        )
        return read_letter(found, self._settings)

    async def _job_errors(self, letters: Sequence[DeadLetter]) -> dict[str, str]:
        """Read the final messages of the jobs whose requests were given up; they may be stored a moment later."""
        ids = {letter.job_id for letter in letters if letter.job_id is not None}
        if not ids:
            return {}
        deadline = asyncio.get_running_loop().time() + _END_WITHIN_S
        while True:
            jobs = await self._jobs.some(ids)
            # Of a backlog, a job that is not on record will not come: its start was sent long before.
            awaited = len(ids) if len(ids) <= _FRESH else len(jobs)
            ended = {job.job_id: job.message for job in jobs if job.status.is_end}
            if len(ended) == awaited or asyncio.get_running_loop().time() > deadline:
                return ended
            await asyncio.sleep(_POLL_S)

    async def _versions(self, extractors: Collection[str]) -> dict[str, str]:
        return await self._extractors.latest_versions(extractors) if extractors else {}


def unstorable(letter: DeadLetter, error: DecodeError) -> DeadLetter:
    """Reduce a dead letter that the database refused to its bytes, with the reason `unstorable`."""
    plain = _plain(letter.cause.queue, letter.body, letter.properties, letter.captured_at, error.detail)
    plain.fingerprint = letter.fingerprint or fingerprint(letter.body, letter.properties)
    plain.maybe_repeated = letter.maybe_repeated
    caused(plain)
    return plain


def fingerprint(body: bytes, properties: bytes) -> bytes:
    """Hash a message without a key, so that equal ones are recognized; the same for each delivery of a message."""
    digest = blake2b(body, digest_size=_FINGERPRINT_BYTES)
    digest.update(changed(properties, headers=_BROKERS_COUNTS))
    return digest.digest()


def _plain(queue: str, body: bytes, properties: bytes, at: datetime, error: str) -> DeadLetter:
    return DeadLetter(
        id="",
        cause_id="",
        cause=Cause(queue=queue, origin="", reason=DeadLetterReason.UNSTORABLE, error="", extractor_id="", version=""),
        kind=LetterKind.OTHER,
        error=redact(error[:300]).encode("utf-8", "replace").decode(),
        captured_at=at,
        happened_at=at,
        seq=0,
        size_bytes=len(body),
        body=body,
        properties=properties,
    )

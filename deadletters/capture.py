"""Captures the messages of one dead-letter queue, each exactly once, as the consumer does with a reply queue."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from hashlib import sha256

import aiormq

from consumer.intake import Intake, Received
from consumer.metrics import QueueMetrics
from consumer.session import Session
from deadletters.reading import GAVE_UP, Found, caused, read_letter
from models.delivery import Batch, Position, StoredBatch
from models.errors import DecodeError, NotFoundError, StoreError
from models.letter import Letter
from models.settings import Settings
from models.topology import dead_letter_queue_arguments
from publisher.amqp import declare_queue, lock
from store.database import Database
from store.extractors import ExtractorRepository
from store.jobs import JobRepository
from store.letter_capture import CapturedLetter, LetterTrail

_END_WITHIN_S = 5.0
"""Seconds that the end of a job may take to be stored after its request was given up."""
_FRESH = 20
"""Up to so many requests at once may have been given up just now; more of them are a backlog."""
_POLL_S = 0.1


def capture_session(
    queue: str, settings: Settings, database: Database, metrics: QueueMetrics, stop: asyncio.Event
) -> Session[CapturedLetter]:
    """Make a session that captures one queue; not open yet.

    Args:
        queue: The queue.
        settings: The settings.
        database: The trail's database.
        metrics: What is counted.
        stop: Set when the process should leave.

    Returns:
        The session. Opening it raises `BusyError` while another process captures the queue, and `NotFoundError` where
        there is no such queue.
    """

    async def declare(connection: aiormq.Connection) -> None:
        # A quorum queue of RabbitMQ 3.10 knows no exclusive consumer, and other people's queues have their arguments.
        right = f"jobtrail.capture.{sha256(queue.encode()).hexdigest()[:32]}"
        await lock(connection, right, f"another process captures {queue}")
        if queue == settings.dead_letter_queue:
            await declare_queue(connection, queue, dead_letter_queue_arguments())
            return
        try:
            await (await connection.channel()).queue_declare(queue, passive=True)
        except aiormq.exceptions.ChannelNotFoundEntity as error:
            raise NotFoundError(f"there is no queue {queue!r} on the broker yet") from error

    intake = Intake(settings.require_amqp_url(), queue, purpose="capture", declare=declare, prefetch=settings.prefetch)
    return Session(
        queue,
        intake=intake,
        reader=LetterReader(queue, settings),
        keeper=LetterKeeper(database),
        settings=settings,
        metrics=metrics,
        stop=stop,
    )


class LetterReader:
    """Makes letters of messages. Whatever a message is, it is a letter.

    Args:
        queue: The queue.
        settings: The settings.
    """

    def __init__(self, queue: str, settings: Settings) -> None:
        self._queue = queue
        self._settings = settings

    async def open(self) -> None:
        """Nothing has to be got ready."""

    async def close(self) -> None:
        """Nothing is held."""

    def read(
        self, received: Received, fingerprint: bytes, received_at: datetime
    ) -> tuple[CapturedLetter, DecodeError | None]:
        """Make a letter of a message.

        Args:
            received: The message.
            fingerprint: Its fingerprint.
            received_at: When it came.

        Returns:
            The letter; never an error.
        """
        found = Found(
            queue=self._queue,
            body=received.body,
            raw=received.raw,
            properties=received.properties,
            exchange=received.message.exchange or "",
            routing_key=received.message.routing_key or "",
            at=received_at,
        )
        letter = read_letter(found, self._settings)
        return CapturedLetter(fingerprint=fingerprint, received_at=received_at, letter=letter), None

    async def refuse(
        self,
        seq: int,
        received: Received,  # noqa: ARG002
        delivery: CapturedLetter,  # noqa: ARG002
        error: DecodeError,
    ) -> CapturedLetter:
        """Leave a letter that the database never takes in its queue: there is no other place for it.

        Args:
            seq: Its number.
            received: The message.
            delivery: The letter.
            error: Why it is refused.

        Raises:
            StoreError: Always. The session ends, and is begun anew after a pause.
        """
        raise StoreError(f"letter {seq} of {self._queue} can't be stored, and stays there: {error.detail}") from error


class LetterKeeper:
    """Completes letters by what the trail knows of their jobs and senders, and stores them.

    Args:
        database: The trail's database.
    """

    def __init__(self, database: Database) -> None:
        self._trail = LetterTrail(database)
        self._jobs = JobRepository(database)
        self._extractors = ExtractorRepository(database)
        self.take_over = self._trail.take_over
        self.move_anchor = self._trail.move_anchor
        self.close = self._trail.close

    async def position(self, queue: str) -> Position:
        """Read how far a queue has been captured; see `store.chain.Chain.position`."""
        return await self._trail.position(queue)

    async def store(self, batch: Batch[CapturedLetter]) -> StoredBatch:
        """Store one batch; see `store.letter_capture.LetterTrail.store`."""
        letters = [delivery.letter for delivery in batch.deliveries]
        errors = await self._job_errors([letter for letter in letters if letter.cause.reason == GAVE_UP])
        versions = await self._versions({letter.cause.extractor_id for letter in letters if letter.cause.extractor_id})
        for letter in letters:
            caused(letter, error=errors.get(letter.job_id or ""), version=versions.get(letter.cause.extractor_id))
        return await self._trail.store(batch)

    async def _job_errors(self, letters: Sequence[Letter]) -> dict[str, str]:
        """Find out what the jobs of requests that were given up said at their end: it may be stored a moment later."""
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

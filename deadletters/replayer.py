"""Runs one replay: claims dead letters batch by batch, sends them and records it; in stages, if requested.

It may be killed at any moment. The next process finds the held dead letters, and the receipts on the broker that tell
which were sent: none is sent twice, none is left out. One that no broker accepts does not stop the others
(`deadletters.isolation`). The broker lets one process at a time send (`deadletters.staging`); late writes of a
predecessor that only seemed dead fail at the states of the dead letters.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from jobtrail.deadletters.isolation import Isolation
from jobtrail.deadletters.outcomes import OutcomeSettler
from jobtrail.deadletters.outgoing import OutgoingLetter, Unsendable, outgoing, target_of
from jobtrail.deadletters.staging import Staging
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterKind, LetterState, Sending
from jobtrail.models.dead_letters.replay import STAGES, Replay, ReplayState
from jobtrail.models.errors import BrokerError, BusyError, NotFoundError, PoisonError, StoreError
from jobtrail.models.settings import Settings
from jobtrail.runtime.backoff import Backoff
from jobtrail.runtime.sleep import sleep_until
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.replays import ReplayRepository, writer_of
from jobtrail.store.jobs.jobs import JobRepository
from jobtrail.store.leases.fenced_writer import FencedWriter

log = structlog.get_logger()

T = TypeVar("T")
U = TypeVar("U")
OnReplay = Callable[[Replay], None]
BATCH_COUNT = 1000
"""Maximum batch of dead letters."""
LOOK_S = 5.0
"""Seconds that a stage waits for dead letters whose success cannot be observed."""
_POLL_S = 0.2


class _Halt(Exception):  # noqa: N818  # it is no error, but the end of a replay
    """The replay stops itself; the reason is the text."""


@dataclass(slots=True, frozen=True)
class _ReplayBatch:
    """One batch of dead letters, and the messages for them."""

    letters: Sequence[DeadLetter]
    messages: Sequence[OutgoingLetter]
    unsendable: Mapping[str, str]
    """Why letters can't be sent, by their id."""

    @property
    def is_full(self) -> bool:
        return len(self.letters) >= BATCH_COUNT


class Replayer:
    """Runs replays, one at a time; once `stop` is set, another process continues."""

    def __init__(
        self, settings: Settings, database: Database, stop: asyncio.Event, on_progress: OnReplay = lambda _replay: None
    ) -> None:
        self._settings = settings
        self._database = database
        self._stop = stop
        self._on_progress = on_progress
        self._writer = FencedWriter(database)
        self._replays = ReplayRepository(database, self._writer)
        self._jobs = JobRepository(database)
        self._isolation = Isolation(self._replays)
        self._judge = OutcomeSettler(settings, database, self._replays)
        self._runner = ""
        self._next_at = 0.0

    async def run(self, replay_id: str) -> bool:
        """Run a replay to its end, through outages of the broker and the database.

        False means that it has not ended: another process runs it, or `stop` was set.
        """
        backoff = Backoff(most_s=self._settings.retry_max_wait_s)
        while not self._stop.is_set():
            try:
                return await self._run(replay_id)
            except BusyError:
                return False
            except (BrokerError, StoreError) as error:
                log.warning("Replay waits", action="replay.waiting", replay_id=replay_id, error=str(error))
                with suppress(StoreError):
                    await self._replays.tell(replay_id, ReplayState.RUNNING, f"waits: {error}")
                await sleep_until(backoff.next_s(), self._stop)
        return False

    async def _run(self, replay_id: str) -> bool:
        replay = await self._replays.get(replay_id)
        if replay.state.is_end:
            return True
        async with Staging(self._settings.require_amqp_url(), replay_id) as staging:
            await self._writer.take_over(writer_of(replay_id))
            self._runner = await self._replays.begin(replay_id)
            log.info("Replay runs", action="replay.running", replay_id=replay_id, letters=replay.total)
            await self._note_arrived(replay, staging)
            try:
                end = await self._send_all(replay, staging)
                detail = await self._isolation.words(replay_id)
            except _Halt as halt:
                end, detail = ReplayState.HALTED, str(halt)
            if end is None:
                return False
            await staging.remove()
            await self._replays.end(replay_id, self._runner, end, detail)
        log.info("Replay ended", action=f"replay.{end.value}", replay_id=replay_id, detail=detail)
        self._on_progress(await self._replays.get(replay_id))
        return True

    async def _note_arrived(self, replay: Replay, staging: Staging) -> None:
        """Record what a killed predecessor had sent."""
        held = await self._replays.all_held(replay.id)
        arrived = await staging.received() if held else set()
        await self._note_sent(replay, [letter for letter in held if letter.id in arrived])
        await staging.forget()

    async def _send_all(self, replay: Replay, staging: Staging) -> ReplayState | None:
        """Send batch after batch; return how it ended, None when the process should leave."""
        ahead: _ReplayBatch | None = None
        while not self._stop.is_set():
            now = await self._replays.get(replay.id)
            self._on_progress(now)
            if now.cancel:
                return ReplayState.CANCELLED
            room = await self._room(now)
            if room == 0 or not await self._is_time():
                continue
            batch = ahead or await self._next(replay, room)
            if batch is None:
                return ReplayState.DONE
            ahead = await self._send(replay, batch, staging)
        return None

    async def _next(self, replay: Replay, room: int) -> _ReplayBatch | None:
        """Claim the next dead letters; None if there are no more."""
        letters = await self._replays.held(replay.id)
        if not letters:
            self._isolation.one_by_one = False
            letters = await self._replays.claim(replay, self._batch_count(replay, room), self._runner)
        return await self._prepare(replay, letters[:1] if self._isolation.one_by_one else letters) if letters else None

    async def _room(self, replay: Replay) -> int:
        """Return how many may be sent in this stage, once the one before has its outcomes; 0 if cancelled meanwhile."""
        if not replay.staged:
            return BATCH_COUNT
        for stage in STAGES:
            if replay.sent < stage:
                return stage - replay.sent
            if replay.sent == stage < replay.total and not await self._is_stage_passed(replay):
                return 0
        return BATCH_COUNT

    async def _is_stage_passed(self, replay: Replay) -> bool:
        """Wait for the outcomes of what was sent; return whether the replay may continue."""
        began = asyncio.get_running_loop().time()
        waiting = f"waiting for the outcome of {_first(replay.sent)}"
        await self._replays.tell(replay.id, ReplayState.RUNNING, waiting)
        while not self._stop.is_set():
            await self._judge.judge(replay.id)
            now = await self._replays.get(replay.id)
            self._on_progress(now)
            if now.failed:
                who = _first(1) if now.sent == 1 else f"{now.failed:,} of {_first(now.sent)}"
                raise _Halt(f"{who} failed again; nothing more was sent")
            if now.cancel:
                return False
            waited_s = asyncio.get_running_loop().time() - began
            if now.counts.get(LetterState.UNKNOWN) and await self._can_be_heard_of(replay, LetterState.UNKNOWN):
                raise _Halt("some outcomes of this stage are unknown; nothing more was sent")
            if not now.pending or (waited_s > LOOK_S and not await self._can_be_heard_of(replay, LetterState.REPLAYED)):
                await self._replays.tell(replay.id, ReplayState.RUNNING)
                return True
            await sleep_until(_POLL_S, self._stop)
        return False

    async def _can_be_heard_of(self, replay: Replay, state: LetterState) -> bool:
        silent = await self._replays.awaited(limit=replay.sent, replay_id=replay.id, state=state)
        return any(self._judge.is_observable(letter) for letter in silent)

    def _batch_count(self, replay: Replay, room: int) -> int:
        by_rate = BATCH_COUNT if replay.rate is None else max(1, int(replay.rate))
        return min(BATCH_COUNT, room, by_rate)

    async def _prepare(self, replay: Replay, letters: Sequence[DeadLetter]) -> _ReplayBatch:
        """Make the messages of a batch."""
        marks = await self._jobs.correlation_ids(
            {letter.job_id for letter in letters if letter.kind is LetterKind.REQUEST and letter.job_id is not None}
        )
        made = [
            outgoing(
                letter,
                replay_id=replay.id,
                who=replay.who,
                target=replay.target,
                settings=self._settings,
                correlation_id=marks.get(letter.job_id or ""),
            )
            for letter in letters
        ]
        return _ReplayBatch(
            letters,
            messages=[each for each in made if isinstance(each, OutgoingLetter)],
            unsendable={each.letter_id: each.detail for each in made if isinstance(each, Unsendable)},
        )

    async def _send(self, replay: Replay, batch: _ReplayBatch, staging: Staging) -> _ReplayBatch | None:
        """Send a batch and record it; return the next one if it is ready by then."""
        self._keep_rate(replay, len(batch.letters))
        await self._isolation.set_aside(replay.id, batch.unsendable)
        await self._bind(batch.messages, staging)
        letters = [letter for letter in batch.letters if letter.id not in batch.unsendable]
        await self._note_attempts(letters)
        # While the broker writes, the database claims; while the database notes, the next batch is read.
        try:
            refused, _ = await _both(staging.send(batch.messages), self._claim_ahead(replay, batch))
        except PoisonError as error:
            await self._isolation.suspect(replay.id, batch.messages, error)
            raise
        sent = [letter for letter in letters if letter.id not in refused]
        _, ahead = await _both(self._note_sent(replay, sent), self._read_ahead(replay, batch))
        await staging.forget()
        if refused:
            raise _Halt(
                f"the broker refused {len(refused):,} dead letters: their queue is full or gone; nothing more was sent"
            )
        return ahead

    async def _claim_ahead(self, replay: Replay, batch: _ReplayBatch) -> None:
        """Claim the next batch after a full one; a smaller one was limited by a stage, a rate or size."""
        if batch.is_full:
            await self._replays.claim_more(replay, BATCH_COUNT, self._runner)

    async def _read_ahead(self, replay: Replay, batch: _ReplayBatch) -> _ReplayBatch | None:
        """Read the batch that was claimed ahead; `_next` takes older ones that were reopened meanwhile."""
        if not batch.is_full:
            return None
        letters = await self._replays.held(replay.id, after=batch.letters[-1].id)
        return await self._prepare(replay, letters) if letters else None

    async def _bind(self, messages: Sequence[OutgoingLetter], staging: Staging) -> None:
        for target in dict.fromkeys(message.target for message in messages):
            if not target:
                raise _Halt("the origin of a dead letter is unknown: name a target queue")
            try:
                await staging.bind(target)
            except (NotFoundError, BusyError) as error:
                raise _Halt(f"{error}; nothing more was sent") from error

    async def _note_attempts(self, letters: Sequence[DeadLetter]) -> None:
        requests = [letter for letter in letters if letter.kind is LetterKind.REQUEST and letter.job_id is not None]
        if not requests:
            return
        jobs = await self._jobs.some({letter.job_id for letter in requests if letter.job_id is not None})
        attempts = {job.job_id: job.attempts for job in jobs}
        for letter in requests:
            letter.attempts_before = attempts.get(letter.job_id or "", 0)
        await self._replays.note_attempts(requests)

    async def _note_sent(self, replay: Replay, letters: Sequence[DeadLetter]) -> None:
        now = datetime.now(UTC)
        sendings = {
            letter.id: Sending(
                replay_id=replay.id,
                at=now,
                target=target_of(letter, replay.target, self._settings),
                attempts=letter.attempts_before or 0,
            )
            for letter in letters
        }
        await self._replays.note_sent(replay.id, sendings)

    async def _is_time(self) -> bool:
        """Tell whether the rate allows the next batch; wait only briefly, so that a cancellation is noticed."""
        wait_s = self._next_at - asyncio.get_running_loop().time()
        if wait_s > 0:
            await sleep_until(min(wait_s, _POLL_S), self._stop)
        return wait_s <= 0

    def _keep_rate(self, replay: Replay, count: int) -> None:
        if replay.rate is not None:
            self._next_at = max(self._next_at, asyncio.get_running_loop().time()) + count / replay.rate


async def _both(one: Awaitable[T], other: Awaitable[U]) -> tuple[T, U]:
    """Run both to their end, even if the other fails; the first one's error is raised."""
    first, second = await asyncio.gather(one, other, return_exceptions=True)
    if isinstance(first, BaseException):
        raise first
    if isinstance(second, BaseException):
        raise second
    return first, second


def _first(count: int) -> str:
    return "the first dead letter" if count == 1 else f"the first {count:,}"

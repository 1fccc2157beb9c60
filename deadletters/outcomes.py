"""Finds out what became of replayed dead letters.

A status update is resolved once it is stored; a job request once its job ends well. A letter that comes back is noted
where it is captured (`store.dead_letters.capture`). Of other messages nothing is heard but that they come back.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from jobtrail.deadletters.outgoing import replies, sent_message_id
from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterKind, LetterState
from jobtrail.models.errors import DecodeError
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import decode_status_update
from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.dead_letters.replayed import Settlement
from jobtrail.store.dead_letters.replays import ReplayRepository
from jobtrail.store.jobs.jobs import JobRepository, MessageKey

MAX_JUDGED = 2000
"""Letters that are looked at before others get their turn: of some nothing is heard for long."""
_JUDGED_TOGETHER = 1000
_MAX_JOBS_KEPT = 10_000
"""Letters whose job is kept in memory, because their bodies had to be read for it."""
_Heard = tuple[LetterState, str]


class OutcomeSettler:
    """Settles dead letters whose outcome is known, or has been awaited for too long."""

    def __init__(self, settings: Settings, database: Database, replays: ReplayRepository | None = None) -> None:
        self._timeout = timedelta(seconds=settings.replay_outcome_timeout_s)
        self._replies = replies(settings)
        self._replays = replays or ReplayRepository(database)
        self._after: str | None = None
        """The letter behind which the next look begins; None for the oldest."""
        self._jobs = JobRepository(database)
        self._letters = LetterRepository(database)
        self._max_body_bytes = settings.max_body_bytes
        self._jobs_sent: dict[str, str | None] = {}

    async def judge(self, replay_id: str | None = None) -> int:
        """Check up to `MAX_JUDGED` pending dead letters, the next call those after them; count the settled ones."""
        settled = looked_at = 0
        while looked_at < MAX_JUDGED:
            letters = await self._replays.awaited(limit=_JUDGED_TOGETHER, replay_id=replay_id, after=self._after)
            self._after = letters[-1].id if len(letters) == _JUDGED_TOGETHER else None
            settlements = await self._settlements(letters)
            await self._replays.settle(settlements)
            settled += len(settlements)
            looked_at += len(letters)
            if self._after is None:
                break
        return settled

    def is_observable(self, letter: DeadLetter) -> bool:
        """Tell whether success can be observed too, and not only that the dead letter comes back."""
        target = letter.sendings[-1].target if letter.sendings else ""
        if letter.kind is LetterKind.UPDATE:
            return bool(target) and (target == letter.cause.origin or target in self._replies)
        return bool(target) and letter.kind is LetterKind.REQUEST and letter.job_id is not None

    async def _settlements(self, letters: Sequence[DeadLetter]) -> list[Settlement]:
        now = datetime.now(UTC)
        messages = {letter.id: await self._message(letter) for letter in letters if letter.kind is LetterKind.UPDATE}
        stored = await self._jobs.stored_messages(set(messages.values()))
        ids = {letter.job_id for letter in letters if letter.kind is LetterKind.REQUEST and letter.job_id is not None}
        jobs = {job.job_id: job for job in await self._jobs.some(ids)} if ids else {}
        settlements = []
        for letter in letters:
            heard = _stored(letter, messages, stored) or _ended(letter, jobs)
            if heard is None and now - _last_heard(letter, jobs) > self._timeout:
                heard = LetterState.UNKNOWN, "no outcome within the time limit"
            if heard is not None:
                settlements.append(
                    Settlement(letter_id=letter.id, replay_id=letter.replay_id or "", outcome=heard[0], detail=heard[1])
                )
        return settlements

    async def _message(self, letter: DeadLetter) -> MessageKey:
        """Tell which stored message a dead letter would be."""
        if letter.job_id is not None and letter.edit is None:
            return letter.job_id, sent_message_id(letter)
        if letter.id not in self._jobs_sent:
            if len(self._jobs_sent) >= _MAX_JOBS_KEPT:
                self._jobs_sent.clear()
            self._jobs_sent[letter.id] = await self._job_in_body(letter)
        return self._jobs_sent[letter.id], sent_message_id(letter)

    async def _job_in_body(self, letter: DeadLetter) -> str | None:
        """Read the job in what was sent: another one than the letter's, or one that was too large to be read before."""
        body = (await self._letters.get(letter.id)).outgoing[0]
        try:
            return decode_status_update(body, max_bytes=self._max_body_bytes).job_id
        except DecodeError:
            return None


def _stored(
    letter: DeadLetter, messages: Mapping[str, MessageKey], stored: Mapping[MessageKey, str | None]
) -> _Heard | None:
    message = messages.get(letter.id)
    if message is None or message not in stored:
        return None
    same = stored[message] == letter.id
    words = "stored in its job's timeline" if same else "a duplicate: the update had been stored already"
    return LetterState.RESOLVED, words


def _ended(letter: DeadLetter, jobs: Mapping[str, JobState]) -> _Heard | None:
    """Tell how the attempt that the replay started has ended; None while it runs."""
    job = jobs.get(letter.job_id or "") if letter.kind is LetterKind.REQUEST else None
    if job is None:
        return None
    begun = job.attempts > letter.sendings[-1].attempts
    if not job.status.is_end or not (begun or job.status is Status.CANCELLED):
        return None
    if job.status is Status.ERROR:
        return LetterState.FAILED_AGAIN, f"attempt {job.attempts} of its job failed: {job.message}"[:500]
    return LetterState.RESOLVED, f"attempt {job.attempts} of its job ended as {job.status}"


def _last_heard(letter: DeadLetter, jobs: Mapping[str, JobState]) -> datetime:
    sent_at = letter.sendings[-1].at
    job = jobs.get(letter.job_id or "")
    return sent_at if job is None or job.status.is_end else max(sent_at, job.seen_at)

"""Finds out what became of letters that were sent again.

A status update is resolved once it is stored; a job request once its job ends well. A letter that comes back is noted
where it is captured (`store.letter_capture`). Of other messages nothing is heard but that they come back.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from deadletters.outgoing import sent_message_id
from models.job import Job
from models.letter import Letter, LetterKind, LetterState
from models.settings import Settings
from models.status import Status
from store.database import Database
from store.jobs import JobRepository
from store.replay_letters import Settlement
from store.replays import ReplayRepository

MOST_JUDGED = 2000
"""Letters that are looked at before others get their turn: of some nothing is heard for long."""
_JUDGED_TOGETHER = 1000


class OutcomeJudge:
    """Settles letters whose outcome has become known, or has been awaited for too long.

    Args:
        settings: For how long outcomes are awaited, and the reply queue.
        database: The trail's database.
        replays: Where they are settled; None for as everybody does it.
    """

    def __init__(self, settings: Settings, database: Database, replays: ReplayRepository | None = None) -> None:
        self._timeout = timedelta(seconds=settings.replay_outcome_timeout_s)
        self._reply_queue = settings.reply_queue
        self._replays = replays or ReplayRepository(database)
        self._after: str | None = None
        """The letter behind which the next look begins; None for the oldest."""
        self._jobs = JobRepository(database)

    async def judge(self, replay_id: str | None = None) -> int:
        """Look at letters that are awaited: at some thousands, and the next time at those behind them.

        Args:
            replay_id: Only those of this replay.

        Returns:
            How many were settled.

        Raises:
            StoreError: The database can't be reached.
        """
        settled = looked_at = 0
        while looked_at < MOST_JUDGED:
            letters = await self._replays.awaited(limit=_JUDGED_TOGETHER, replay_id=replay_id, after=self._after)
            self._after = letters[-1].id if len(letters) == _JUDGED_TOGETHER else None
            settlements = await self._settlements(letters)
            await self._replays.settle(settlements)
            settled += len(settlements)
            looked_at += len(letters)
            if self._after is None:
                break
        return settled

    def is_observable(self, letter: Letter) -> bool:
        """Tell whether anything can be heard of a letter but that it comes back.

        Args:
            letter: A letter that was sent.
        """
        if letter.kind is LetterKind.UPDATE:
            return bool(letter.sendings) and letter.sendings[-1].target in (letter.cause.origin, self._reply_queue)
        return letter.kind is LetterKind.REQUEST and letter.job_id is not None

    async def _settlements(self, letters: Sequence[Letter]) -> list[Settlement]:
        now = datetime.now(UTC)
        stored = await self._jobs.stored_messages(
            {sent_message_id(letter) for letter in letters if letter.kind is LetterKind.UPDATE}
        )
        ids = {letter.job_id for letter in letters if letter.kind is LetterKind.REQUEST and letter.job_id is not None}
        jobs = {job.job_id: job for job in await self._jobs.some(ids)} if ids else {}
        settlements = []
        for letter in letters:
            heard = self._heard(letter, stored, jobs)
            if heard is None and now - _last_heard(letter, jobs) > self._timeout:
                heard = LetterState.UNKNOWN, "nothing was heard of it"
            if heard is not None:
                settlements.append(
                    Settlement(letter_id=letter.id, replay_id=letter.replay_id or "", outcome=heard[0], detail=heard[1])
                )
        return settlements

    def _heard(
        self, letter: Letter, stored: Mapping[str, str | None], jobs: Mapping[str, Job]
    ) -> tuple[LetterState, str] | None:
        message_id = sent_message_id(letter)
        if letter.kind is LetterKind.UPDATE and message_id in stored:
            same = stored[message_id] == letter.id
            words = "stored in its job's timeline" if same else "a duplicate: the update had been stored already"
            return LetterState.RESOLVED, words
        job = jobs.get(letter.job_id or "") if letter.kind is LetterKind.REQUEST else None
        return None if job is None else _end_of(job, letter)


def _end_of(job: Job, letter: Letter) -> tuple[LetterState, str] | None:
    """Tell how the attempt ended that the replay began; None while it has not."""
    begun = job.attempts > letter.sendings[-1].attempts
    if not job.status.is_end or not (begun or job.status is Status.CANCELLED):
        return None
    if job.status is Status.ERROR:
        return LetterState.FAILED_AGAIN, f"attempt {job.attempts} of its job failed: {job.message}"[:500]
    return LetterState.RESOLVED, f"attempt {job.attempts} of its job ended as {job.status}"


def _last_heard(letter: Letter, jobs: Mapping[str, Job]) -> datetime:
    sent_at = letter.sendings[-1].at
    job = jobs.get(letter.job_id or "")
    return sent_at if job is None or job.status.is_end else max(sent_at, job.seen_at)

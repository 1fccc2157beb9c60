"""Predicts what a replay would do, with the current decoder, checks and state machine; nothing is written."""

import sys
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime

from jobtrail.deadletters.outgoing import replies, sent_message_id, target_of
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterFilter, LetterKind
from jobtrail.models.dead_letters.dry_run import DryRun, Judgement, Verdict
from jobtrail.models.dead_letters.fingerprint import normalized_error
from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.heartbeat import decode_heartbeat
from jobtrail.models.jobs.job import JobState, fold
from jobtrail.models.jobs.status import Status
from jobtrail.models.jobs.wire import StatusUpdate, decode_status_update
from jobtrail.models.settings import Settings
from jobtrail.publisher.request import Request
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.jobs.jobs import JobRepository, MessageKey

OnProgress = Callable[[int], None]


class DryRunner:
    """Judges dead letters in order, each as if those before it had been replayed, to `target` or each to its origin."""

    def __init__(self, settings: Settings, database: Database, target: str | None = None) -> None:
        self._settings = settings
        self._letters = LetterRepository(database)
        self._repository = JobRepository(database)
        self._target = target
        self._replies = replies(settings)
        self._jobs: dict[str, JobState] = {}
        """As they would be by now."""
        self._stored: set[MessageKey] = set()

    async def run(
        self, selection: LetterFilter, *, limit: int = sys.maxsize, on_progress: OnProgress = lambda _count: None
    ) -> DryRun:
        """Judge what a replay of a selection would send, the oldest first, up to `limit`."""
        result = DryRun()
        async for letters in self._letters.stream(selection.among(UNSETTLED)):
            judged = letters[: limit - result.total]
            for letter, judgement in zip(judged, await self.judge(judged), strict=True):
                result.add(judgement, target_of(letter, self._target, self._settings))
            on_progress(result.total)
            if len(judged) < len(letters):
                result.is_whole = False
                break
        return result

    async def judge(self, letters: Sequence[DeadLetter]) -> list[Judgement]:
        """Judge dead letters, bytes included."""
        read = [self._read(letter) for letter in letters]
        await self._learn(letters, read)
        return [self._judge(letter, each) for letter, each in zip(letters, read, strict=True)]

    async def _learn(self, letters: Sequence[DeadLetter], read: Sequence[StatusUpdate | Request | Judgement]) -> None:
        """Look up which of the messages are stored, and the state of their jobs."""
        messages = {
            (each.job_id, sent_message_id(letter))
            for letter, each in zip(letters, read, strict=True)
            if isinstance(each, StatusUpdate)
        }
        self._stored |= set(await self._repository.stored_messages(messages))
        ids = {job_id for job_id, _message_id in messages if job_id} | {
            letter.job_id for letter in letters if letter.kind is LetterKind.REQUEST and letter.job_id
        }
        unknown = ids - self._jobs.keys()
        if unknown:
            self._jobs |= {job.job_id: deepcopy(job) for job in await self._repository.some(unknown)}

    def _read(self, letter: DeadLetter) -> StatusUpdate | Request | Judgement:
        """Decode a dead letter as its receiver would, or say why that is not possible."""
        body = letter.outgoing[0]
        target = target_of(letter, self._target, self._settings)
        limit = self._settings.max_body_bytes
        try:
            if not target:
                return Judgement(verdict=Verdict.UNKNOWN, reason="its origin is unknown")
            if target in self._replies or letter.kind is LetterKind.UPDATE:
                return decode_status_update(body, max_bytes=limit)
            if target == self._settings.heartbeat_queue:
                decode_heartbeat(body, datetime.now(UTC), max_bytes=limit)
                return Judgement(verdict=Verdict.APPLIES, reason="a heartbeat")
            if letter.kind is LetterKind.REQUEST:
                return Request.parse(body)
        except DecodeError as error:
            return Judgement(
                verdict=Verdict.FAILS, reason=f"{error.reason}: {normalized_error(error.detail)}", detail=error.detail
            )
        receiver = "its receiver" if letter.cause.reason == DeadLetterReason.UNSTATED else target
        return Judgement(verdict=Verdict.UNKNOWN, reason=f"only {receiver} can tell")

    def _judge(self, letter: DeadLetter, read: StatusUpdate | Request | Judgement) -> Judgement:
        if isinstance(read, Judgement):
            return read
        if isinstance(read, Request):
            return self._judge_request(letter)
        message = read.job_id, sent_message_id(letter)
        if message in self._stored:
            return Judgement(verdict=Verdict.DUPLICATE, reason="the update is stored already")
        self._stored.add(message)
        if read.job_id is None:
            return Judgement(verdict=Verdict.APPLIES, reason="an update without a job id")
        job, placement = fold(self._jobs.get(read.job_id), read, datetime.now(UTC))
        self._jobs[read.job_id] = job
        if placement.late:
            return Judgement(verdict=Verdict.APPLIES, reason="kept in its timeline as late: its job has moved on")
        return Judgement(verdict=Verdict.APPLIES, reason=f"its job becomes {job.status}")

    def _judge_request(self, letter: DeadLetter) -> Judgement:
        job = self._jobs.get(letter.job_id or "")
        if job is None:
            return Judgement(verdict=Verdict.APPLIES, reason="a new job")
        words = "the next attempt of its job"
        if job.status.is_end and job.status is not Status.ERROR:
            words = f"the next attempt of its job, which has ended as {job.status}"
        return Judgement(verdict=Verdict.APPLIES, reason=words, detail=f"attempt {job.attempts + 1}")


def summary_words(counts: Mapping[Verdict, int]) -> str:
    """Summarize a dry run in one line, such as `would apply 9, duplicate 1, still fail 2`."""
    words = {
        Verdict.APPLIES: "would apply",
        Verdict.DUPLICATE: "duplicate",
        Verdict.FAILS: "still fail",
        Verdict.UNKNOWN: "unknown",
    }
    return ", ".join(f"{words[verdict]} {counts.get(verdict, 0):,}" for verdict in Verdict if counts.get(verdict, 0))

"""What the jobs on a dataset say of its status: the answer that takes the analyzer's place, or stands beside its."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobtrail.models.datasets.dataset import Answer, DatasetStatus, StatusSource
from jobtrail.models.jobs.job import JobState
from jobtrail.models.jobs.status import Status

AT_WORK = frozenset({Status.STARTED, Status.PROCESSING, Status.RESUBMITTED})
"""A job in these states is on its way: a worker holds it, or will try it once more."""
MAX_MESSAGE_CHARS = 2000
"""An error message is cut after that many characters: workers send whole stack traces."""
_DONE = frozenset({Status.SUCCEEDED, Status.SKIPPED})


@dataclass(slots=True, frozen=True, kw_only=True)
class JobsAnswer:
    """What the jobs say now."""

    answer: Answer | None = None
    """None while no job that counts is there."""
    due_at: datetime | None = None
    """When they will say something else if no news comes until then; None if time alone changes nothing."""


def answer_by_jobs(jobs: Iterable[JobState], required: Collection[str], now: datetime, quiet_s: float) -> JobsAnswer:
    """Tell a dataset's status by its jobs.

    Each extractor counts once: by its jobs at work if it has any, else by the one with the latest news. A cancelled
    job counts as if it had never been.

    - One extractor failed for good: Failed, at once. Others that still run don't change that.
    - All required extractors are done: Complete. Where none is required, all that were seen must be, and have been
      quiet, as another job may follow.
    - Otherwise Analyzing; or Pending, while all jobs still wait in their queues.

    Args:
        jobs: The dataset's jobs, in any order.
        required: Extractors that make it complete; the others are ignored. Empty means all that were seen.
        now: The time, UTC.
        quiet_s: Seconds without news that make it complete where no extractor is required.

    Returns:
        The answer.
    """
    speakers = _speakers(job for job in jobs if not required or job.extractor_id in required)
    if not speakers:
        return JobsAnswer()
    wanted = set(required) or speakers.keys()
    done = {name for name, job in speakers.items() if job.status in _DONE}
    failed = [job for job in speakers.values() if job.status is Status.ERROR]
    due_at = None
    if failed:
        status = DatasetStatus.FAILED
    elif all(job.status is Status.SUBMITTED for job in speakers.values()):
        status = DatasetStatus.PENDING
    elif done != wanted:
        status = DatasetStatus.ANALYZING
    else:
        quiet_at = max(job.seen_at for job in speakers.values()) + timedelta(seconds=0 if required else quiet_s)
        status = DatasetStatus.COMPLETE if required or now >= quiet_at else DatasetStatus.ANALYZING
        due_at = None if status.is_end else quiet_at
    answer = Answer(
        source=StatusSource.EVENTS,
        at=now,
        status=status,
        progress=_progress(speakers, wanted),
        error_message=_words(min(failed, key=_news)) if failed else None,
    )
    return JobsAnswer(answer=answer, due_at=due_at)


def _speakers(jobs: Iterable[JobState]) -> dict[str, JobState]:
    """Choose the job that speaks for each extractor."""
    speakers: dict[str, JobState] = {}
    for job in jobs:
        if job.status is Status.CANCELLED:
            continue
        other = speakers.get(job.extractor_id)
        if other is None or _precedence(job) > _precedence(other):
            speakers[job.extractor_id] = job
    return speakers


def _precedence(job: JobState) -> tuple[bool, datetime, datetime, str]:
    return (job.status in AT_WORK, *_news(job))


def _news(job: JobState) -> tuple[datetime, datetime, str]:
    """Order jobs by their latest news; the id decides where the times are the same."""
    return job.seen_at, job.updated_at, job.job_id


def _progress(speakers: dict[str, JobState], wanted: Collection[str]) -> float:
    """Percent done, in whole steps, as each step is written into the history."""
    return float(sum(_percent(speakers.get(name)) for name in wanted) // len(wanted))


def _percent(job: JobState | None) -> float:
    if job is None or job.status not in AT_WORK | _DONE:
        return 0.0
    if job.status in _DONE:
        return 100.0
    return 0.0 if job.status is Status.RESUBMITTED else job.percent or 0.0


def _words(job: JobState) -> str:
    words = job.message.strip() or "failed without a message"
    return f"{job.extractor_id}: {words}"[:MAX_MESSAGE_CHARS]

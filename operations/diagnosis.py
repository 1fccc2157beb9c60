"""Why a job makes no progress: one sentence, and the evidence for it, each with how it is known."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobtrail.broker.queue_depth import QueueDepth, QueueGauge
from jobtrail.heartbeat.liveness import Basis, Evidence, Stall, StallKind, online, spoken
from jobtrail.models.heartbeat import InstanceRecord
from jobtrail.models.jobs.job import JobState
from jobtrail.models.settings import Settings
from jobtrail.models.times import duration
from jobtrail.operations.figure_book import FigureBook, Usual
from jobtrail.operations.job_list import ListedJob
from jobtrail.operations.stall_detector import StallDetector

WAITING_LONG_S = 60.0
"""Seconds after which a waiting job is diagnosed."""
MAX_AT_ONCE = 5
"""Jobs of a list that are diagnosed: each may mean a question to the broker."""
_LONGEST_WORDS = 300


@dataclass(slots=True, frozen=True, kw_only=True)
class Fact:
    """One thing that is known, or not."""

    name: str
    """What it is about, such as `Queue`."""
    text: str
    basis: Basis | None
    """How it is known; None where it isn't."""
    at: datetime | None = None
    """Since when, where it is about a moment."""
    words: str | None = None
    """What the worker said."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Diagnosis:
    """Why a job makes no progress."""

    sentence: str
    evidence: tuple[Fact, ...]


@dataclass(slots=True, frozen=True, kw_only=True)
class StuckJob:
    """A job and why it makes no progress."""

    listed: ListedJob
    diagnosis: Diagnosis


@dataclass(slots=True, frozen=True, kw_only=True)
class Circumstances:
    """All that a diagnosis is made of."""

    job: JobState
    stall: Stall | None
    """None for a job that waits."""
    heartbeat: Evidence | None
    """Of the job's instance where it is known, else of its extractor's instance that was seen last."""
    depth: QueueDepth
    usual: Usual | None
    now: datetime


class Diagnoser:
    """Finds out why jobs make no progress."""

    def __init__(self, figures: FigureBook, queues: QueueGauge, settings: Settings) -> None:
        self._figures = figures
        self._queues = queues
        self._settings = settings

    async def why_each(self, stalled: Sequence[ListedJob], detector: StallDetector) -> Sequence[StuckJob]:
        """Find out why the first `MAX_AT_ONCE` of these jobs make no progress; those that do are left out."""
        looked_into = stalled[:MAX_AT_ONCE]
        diagnoses = await asyncio.gather(*(self.why(each.job, detector) for each in looked_into))
        return [
            StuckJob(listed=listed, diagnosis=diagnosis)
            for listed, diagnosis in zip(looked_into, diagnoses, strict=True)
            if diagnosis
        ]

    async def why(self, job: JobState, detector: StallDetector) -> Diagnosis | None:
        """Say why a job makes no progress; None if it does, has ended, or waits for less than `WAITING_LONG_S`."""
        stall = await detector.stall(job)
        if stall is None and not waits_long(job, detector.now):
            return None
        instances = await detector.instances(job.extractor_id)
        instance = _instance_of(job, instances)
        depth, usual = await asyncio.gather(
            self._queues.read((instance and instance.queue) or job.extractor_id),
            self._figures.usual(job.extractor_id, detector.now),
        )
        return diagnose(
            Circumstances(
                job=job,
                stall=stall,
                heartbeat=online(instance, detector.now, self._settings, await detector.watch()) if instance else None,
                depth=depth,
                usual=usual,
                now=detector.now,
            )
        )


def waits_long(job: JobState, now: datetime) -> bool:
    """Whether a job has waited for a worker long enough to be diagnosed."""
    return job.status.is_waiting and (now - job.seen_at).total_seconds() > WAITING_LONG_S


def diagnose(found: Circumstances) -> Diagnosis:
    """Put the circumstances into words."""
    clauses = _of_waiting(found) if found.stall is None else _of_stall(found, found.stall)
    text = "; ".join(clauses)
    return Diagnosis(sentence=f"{text[:1].upper()}{text[1:]}.", evidence=tuple(_facts(found)))


def _of_stall(found: Circumstances, stall: Stall) -> Iterator[str]:
    job = found.job
    yield stall.evidence
    if stall.kind is StallKind.OWNER_LOST:
        yield f"the job's last update came {_ago(job.seen_at, found.now)}"
    if found.usual:
        yield f"{_short(job.extractor_id)} usually takes {_durations(found.usual)}, this job {_age(found)} so far"
    yield _queue_of_stalled(found.depth)


def _queue_of_stalled(depth: QueueDepth) -> str:
    queue = _short(depth.queue)
    if depth.missing:
        return f"its queue {queue} is not on the broker"
    if depth.waiting is None:
        return f"how many requests wait in {queue} is unknown: {depth.problem}"
    if not depth.consumers:
        return f"no consumer takes work from {queue}, where {_requests(depth.waiting)}"
    if not depth.waiting:
        return f"no request waits in {queue}, which has {_consumers(depth.consumers)}"
    return f"in {queue} {_requests(depth.waiting)} for {_consumers(depth.consumers)}"


def _of_waiting(found: Circumstances) -> Iterator[str]:
    depth, queue = found.depth, _short(found.depth.queue)
    waited = f"it has waited for {spoken((found.now - found.job.seen_at).total_seconds())}"
    if depth.missing:
        yield f"{waited}, and its queue {queue} is not on the broker: no worker has made it yet, or it was deleted"
    elif depth.waiting is None or depth.consumers is None:
        yield f"{waited}; how many requests wait in {queue} is unknown: {depth.problem}"
    elif depth.consumers == 0:
        yield f"{waited} in {queue}, where {_requests(depth.waiting)} and no consumer takes work"
    elif depth.waiting == 0:
        yield (
            f"{waited}, but no request waits in {queue}, which has {_consumers(depth.consumers)}: a worker holds it "
            "and has said nothing yet, or the request is lost"
        )
    else:
        yield f"{waited} in {queue}, where {_requests(depth.waiting)} for {_consumers(depth.consumers)}"
        if found.usual:
            work_s = depth.waiting * found.usual.p50_s / depth.consumers
            yield f"at the usual {duration(found.usual.p50_s)} each that is about {duration(round(work_s))} of work"
    yield found.heartbeat.evidence if found.heartbeat else _no_heartbeat(found)


def _facts(found: Circumstances) -> Iterator[Fact]:
    job, usual, depth = found.job, found.usual, found.depth
    if found.stall:
        yield Fact(name="Finding", text=found.stall.evidence, basis=found.stall.basis, at=found.stall.since)
    if depth.problem:
        yield Fact(name="Queue", text=f"{_short(depth.queue)}: unknown: {depth.problem}", basis=None)
    elif depth.waiting is None or depth.consumers is None:
        yield Fact(name="Queue", text=f"{_short(depth.queue)} is not on the broker", basis=Basis.REPORTED)
    else:
        text = f"{_short(depth.queue)}: {_requests(depth.waiting)}, {_consumers(depth.consumers)}"
        yield Fact(name="Queue", text=text, basis=Basis.REPORTED)
    if found.heartbeat is None:
        yield Fact(name="Heartbeat", text=_no_heartbeat(found), basis=None)
    elif found.stall is None or found.heartbeat.evidence != found.stall.evidence:
        beat = found.heartbeat
        yield Fact(name="Heartbeat", text=beat.evidence, basis=beat.basis, at=beat.since)
    yield Fact(
        name="Last event",
        text=job.status.value,
        basis=Basis.REPORTED,
        at=job.seen_at,
        words=job.message[:_LONGEST_WORDS],
    )
    if usual:
        text = f"{_durations(usual)}, by {usual.jobs:,} jobs of {usual.window.words}"
        yield Fact(name="Usual duration", text=text, basis=Basis.INFERRED)
    else:
        yield Fact(name="Usual duration", text="unknown: none of its jobs ended recently", basis=None)


def _instance_of(job: JobState, instances: Sequence[InstanceRecord]) -> InstanceRecord | None:
    """Choose the job's own instance, or the one that was seen last."""
    owners = (each for each in instances if job.status.is_running and each.instance_id == job.instance_id)
    return next(owners, instances[0] if instances else None)


def _no_heartbeat(found: Circumstances) -> str:
    return f"no worker of {_short(found.job.extractor_id)} has sent a heartbeat in the last week"


def _durations(usual: Usual) -> str:
    return f"{duration(usual.p50_s)} (95 % within {duration(usual.p95_s)})"


def _age(found: Circumstances) -> str:
    begun = found.job.started_at or found.job.seen_at
    return spoken(max(0.0, (found.now - begun).total_seconds()))


def _ago(moment: datetime, now: datetime) -> str:
    return f"{spoken(max(0.0, (now - moment).total_seconds()))} ago"


def _requests(count: int) -> str:
    return "no request waits" if count == 0 else "1 request waits" if count == 1 else f"{count:,} requests wait"


def _consumers(count: int) -> str:
    return "1 consumer" if count == 1 else f"{count:,} consumers"


def _short(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:59]}…"

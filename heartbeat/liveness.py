"""Who is alive and which jobs are stalled: pure rules over what was stored. `docs/heartbeats.md` explains them.

A stall is derived each time it is read and never written over what the worker said. It always says whether it was
reported or inferred, and from what.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from jobtrail.models.heartbeat import InstanceRecord, MonitorWatch
from jobtrail.models.jobs.job import JobState
from jobtrail.models.settings import Settings

MISSED_INTERVALS = 2.5
"""Two heartbeats may be lost or late before an instance counts as offline."""
PYCLOWDER_INTERVAL_S = 300.0
"""pyClowder's default interval: until its second heartbeat, an instance may be alive this long without one."""


class Basis(StrEnum):
    """How something is known."""

    REPORTED = "reported"
    """A worker said so."""
    INFERRED = "inferred"
    """Concluded from silence."""


class StallKind(StrEnum):
    """Why a running job counts as stalled."""

    OWNER_LOST = "owner_lost"
    """Its worker is gone, or no longer has it."""
    SILENT = "silent"
    """Its last sign of life is too old."""
    NO_INSTANCE = "no_instance"
    """No instance of its extractor is alive."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Evidence:
    """Whether an instance is online, and how that is known."""

    online: bool
    since: datetime
    """Online: the last heartbeat. Offline: the last sign of life."""
    basis: Basis
    evidence: str
    """One plain sentence."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Stall:
    """Why a job counts as stalled, and how that is known."""

    kind: StallKind
    since: datetime
    """The last sign of life, from which on silence is counted."""
    basis: Basis
    evidence: str
    """One plain sentence."""


def online(instance: InstanceRecord, now: datetime, settings: Settings, watch: MonitorWatch | None = None) -> Evidence:
    """Judge whether an instance is alive; without a `watch` a monitor is taken to have always been there."""
    if instance.stopping:
        text = f"{_name(instance)} said that it stops"
        return Evidence(online=False, since=instance.last_seen, basis=Basis.REPORTED, evidence=text)
    silence_s = _silence_s(instance.last_seen, now, watch)
    if _is_online(instance, now, settings, watch):
        text = f"{_name(instance)} sent a heartbeat {spoken(silence_s)} ago"
        return Evidence(online=True, since=instance.last_seen, basis=Basis.REPORTED, evidence=text)
    limit_s = silence_limit_s(instance, settings)
    text = f"no heartbeat from {_name(instance)} for {spoken(silence_s)} (limit {spoken(limit_s)})"
    if instance.interval_s is None:
        text += "; only one has come so far, so its interval is not known"
    return Evidence(online=False, since=instance.last_seen, basis=Basis.INFERRED, evidence=text)


def silence_limit_s(instance: InstanceRecord, settings: Settings) -> float:
    """Return how many seconds an instance may be silent and still count as online."""
    return max(settings.instance_timeout_s, MISSED_INTERVALS * (instance.interval_s or 0.0))


def stall(
    job: JobState,
    instances: Sequence[InstanceRecord],
    now: datetime,
    settings: Settings,
    watch: MonitorWatch | None = None,
) -> Stall | None:
    """Judge whether a job is stalled, given all instances of its extractor, dead ones too; None where it seems fine.

    Without a `watch` a monitor is taken to have always been there.
    """
    # The grace covers the way of an update and of the heartbeat after it: they travel through different queues.
    if not job.status.is_running or (now - job.seen_at).total_seconds() <= settings.heartbeat_interval_s:
        return None
    if any(job.job_id in (each.jobs or ()) and _is_online(each, now, settings, watch) for each in instances):
        return None
    if job.instance_id is None:
        nobody = _no_instance(job, instances, now, settings, watch)
        return nobody or _silent(job, now, settings, f"{job.extractor_id}'s heartbeats list no jobs")
    owner = next((each for each in instances if each.instance_id == job.instance_id), None)
    if owner is None:
        return _silent(job, now, settings, "its worker sends no heartbeats")
    return _owned(job, owner, now, settings, watch)


def _owned(
    job: JobState, owner: InstanceRecord, now: datetime, settings: Settings, watch: MonitorWatch | None
) -> Stall | None:
    if not _is_online(owner, now, settings, watch):
        return _owner_gone(job, owner, now, settings, watch)
    if owner.jobs is None:
        return _silent(job, now, settings, f"the heartbeats of {_name(owner)} list no jobs")
    return _owner_disclaims(job, owner, settings)


def _owner_gone(
    job: JobState, owner: InstanceRecord, now: datetime, settings: Settings, watch: MonitorWatch | None
) -> Stall | None:
    judged = online(owner, now, settings, watch)
    # A worker's heartbeats may end while it works on: its updates prove that it lives.
    heard_of = _silence_s(job.seen_at, now, watch) <= silence_limit_s(owner, settings)
    if judged.basis is Basis.INFERRED and heard_of:
        return None
    return Stall(kind=StallKind.OWNER_LOST, since=judged.since, basis=judged.basis, evidence=judged.evidence)


def _owner_disclaims(job: JobState, owner: InstanceRecord, settings: Settings) -> Stall | None:
    """Judge a job that its live worker does not list; only a heartbeat from after the job's last update can tell."""
    later_s = (owner.last_seen - job.seen_at).total_seconds()
    if later_s < (owner.interval_s or settings.heartbeat_interval_s):
        return None
    text = f"{_name(owner)} is online but does not list this job, nor does any other"
    return Stall(kind=StallKind.OWNER_LOST, since=job.seen_at, basis=Basis.REPORTED, evidence=text)


def _no_instance(
    job: JobState, instances: Sequence[InstanceRecord], now: datetime, settings: Settings, watch: MonitorWatch | None
) -> Stall | None:
    silence_s = _silence_s(job.seen_at, now, watch)
    if silence_s <= settings.instance_timeout_s or any(_may_live(each, now, settings, watch) for each in instances):
        return None
    limit = spoken(settings.instance_timeout_s)
    text = f"no update for {spoken(silence_s)} (limit {limit}) and no live instance of {job.extractor_id}"
    return Stall(kind=StallKind.NO_INSTANCE, since=job.seen_at, basis=Basis.INFERRED, evidence=text)


def _silent(job: JobState, now: datetime, settings: Settings, why: str) -> Stall | None:
    silence_s = (now - job.seen_at).total_seconds()
    if silence_s <= settings.stall_after_s:
        return None
    text = f"no update for {spoken(silence_s)} (limit {spoken(settings.stall_after_s)}); {why}"
    return Stall(kind=StallKind.SILENT, since=job.seen_at, basis=Basis.INFERRED, evidence=text)


def _is_online(instance: InstanceRecord, now: datetime, settings: Settings, watch: MonitorWatch | None) -> bool:
    return not instance.stopping and _silence_s(instance.last_seen, now, watch) <= silence_limit_s(instance, settings)


def _may_live(instance: InstanceRecord, now: datetime, settings: Settings, watch: MonitorWatch | None) -> bool:
    """Whether an instance is online, or its second heartbeat need not have come yet."""
    if instance.interval_s is not None or instance.stopping:
        return _is_online(instance, now, settings, watch)
    return _silence_s(instance.last_seen, now, watch) <= max(settings.instance_timeout_s, PYCLOWDER_INTERVAL_S)


def _silence_s(moment: datetime, now: datetime, watch: MonitorWatch | None) -> float:
    return max(0.0, (now - moment).total_seconds()) if watch is None else watch.silence_s(moment, now)


def _name(instance: InstanceRecord) -> str:
    """Name an instance in a sentence: UUIDs by their first block."""
    name = instance.instance_id
    return f"instance {name}" if len(name) <= 12 else f"instance {name[:8]}…"


def spoken(seconds: float) -> str:
    """Write a duration in seconds for people, such as `74 s`, `6 min 10 s` or `2 h 5 min`."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"

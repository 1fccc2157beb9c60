"""Heartbeats on the wire, and what is known of extractors and their instances from them.

Source of the message: pyClowder 3.0.8 `connectors.RabbitMQBroadcast` and captured messages; our additions are in
`docs/heartbeats.md`.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from jobtrail.models.dead_letters.reasons import DeadLetterReason
from jobtrail.models.errors import DecodeError
from jobtrail.models.extractor_info import info_json
from jobtrail.models.jobs.wire import (
    MAX_ID_LENGTH,
    MAX_INT64,
    load_object,
    number,
    optional_text,
    parse_time,
    required_text,
)

MAX_JOBS = 10_000
"""Most jobs that one instance may list."""
MAX_INTERVAL_S = 24 * 3600


@dataclass(slots=True, frozen=True, kw_only=True)
class Heartbeat:
    """One heartbeat, as a worker process sent it, with secrets masked."""

    instance_id: str
    """The wire's `id`: one per worker process."""
    extractor: str
    """`extractor_info.name`."""
    version: str
    """`extractor_info.version`; empty when it has none."""
    info_json: str
    """The whole `extractor_info` as JSON text with sorted keys, so that equal ones have equal texts."""
    received_at: datetime
    """The monitor's clock when it took the heartbeat, UTC; silence is measured by this one only."""
    queue: str | None = None
    """The queue that the worker takes its work from."""
    owner: str | None = None
    """The owner's email."""
    jobs: tuple[str, ...] | None = None
    """The job ids in flight; None from senders that list none, as pyClowder's."""
    interval_s: float | None = None
    """Seconds between two heartbeats, as the sender says; pyClowder's does not."""
    host: str | None = None
    pid: int | None = None
    sent_at: datetime | None = None
    """The sender's clock, for people to read; nothing is decided by it."""
    sequence: int | None = None
    """Grows with each heartbeat of a process: tells an older heartbeat from a newer one."""
    stopping: bool = False
    """The process says goodbye: this is its last heartbeat."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ExtractorVersion:
    """One version of an extractor, as its instances describe themselves."""

    version: str
    info: dict[str, object]
    """The newest `extractor_info` of this version."""
    first_seen: datetime
    last_seen: datetime
    info_changes: int = 0
    """How often the info changed while the version stayed the same."""
    info_changed_at: datetime | None = None
    """When it last did."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ExtractorRecord:
    """One extractor, in all its versions."""

    name: str
    versions: tuple[ExtractorVersion, ...]
    """The newest version first; never empty."""

    @property
    def current(self) -> ExtractorVersion:
        """The newest version, whichever was seen last."""
        return self.versions[0]

    @property
    def version(self) -> str:
        """The newest version's text."""
        return self.current.version

    @property
    def info(self) -> dict[str, object]:
        """The newest version's `extractor_info`."""
        return self.current.info

    @property
    def first_seen(self) -> datetime:
        """When the first heartbeat of any version came."""
        return min(version.first_seen for version in self.versions)

    @property
    def last_seen(self) -> datetime:
        """When the latest heartbeat of any version came."""
        return max(version.last_seen for version in self.versions)


@dataclass(slots=True, frozen=True, kw_only=True)
class InstanceRecord:
    """One worker process, as its heartbeats show it. All times are by the monitor's clock."""

    instance_id: str
    extractor: str
    version: str
    first_seen: datetime
    last_seen: datetime
    queue: str | None = None
    owner: str | None = None
    host: str | None = None
    pid: int | None = None
    interval_s: float | None = None
    """Seconds between its heartbeats: its own word, else learnt from the gaps; None until the second heartbeat."""
    jobs: tuple[str, ...] | None = None
    """The job ids in flight; None when its heartbeats list none."""
    stopping: bool = False
    """Its last heartbeat said goodbye."""


def likely_queues(instances: Iterable[InstanceRecord], extractor: str) -> list[str]:
    """Tell which queues an extractor's workers take their work from.

    Args:
        instances: The workers.
        extractor: The extractor's name.

    Returns:
        The queues, in the workers' order; the extractor's name, as pyClowder has it, where none is known.
    """
    return list(dict.fromkeys(instance.queue for instance in instances if instance.queue)) or [extractor]


@dataclass(slots=True, frozen=True, kw_only=True)
class MonitorWatch:
    """When the monitor was there to see heartbeats. Silence in a time that nobody watched proves nothing."""

    since: datetime
    """It has watched without a break from here on."""
    until: datetime
    """It was last there."""
    before: datetime | None = None
    """The watch before the last break ended here."""

    def silence_s(self, last_seen: datetime, now: datetime) -> float:
        """Count the seconds of silence that were watched.

        Args:
            last_seen: When the last heartbeat came.
            now: The present; the time after `until` counts as not watched.

        Returns:
            Seconds, at least 0.
        """
        silence = min(now, self.until) - last_seen
        if self.before is not None:
            silence -= max(timedelta(0), self.since - max(self.before, last_seen))
        return max(0.0, silence.total_seconds())


def decode_heartbeat(body: bytes, received_at: datetime, *, max_bytes: int) -> Heartbeat:
    """Read one heartbeat.

    Args:
        body: The bytes of the message.
        received_at: When it was taken from the queue, by the monitor's clock.
        max_bytes: The largest body that is read at all.

    Returns:
        The heartbeat, secrets masked.

    Raises:
        DecodeError: The message can't be processed; its reason and detail say why.
    """
    raw = load_object(body, max_bytes)
    info = raw.get("extractor_info")
    if info is None:
        raise DecodeError(DeadLetterReason.MISSING_FIELD, "extractor_info is missing")
    if not isinstance(info, dict):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, "extractor_info is not a JSON object")
    pid, interval_s, sequence, sent_at = (raw.get(name) for name in ("pid", "interval_s", "sequence", "sent_at"))
    stopping = raw.get("stopping", False)
    if not isinstance(stopping, bool):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, "stopping is neither true nor false")
    return Heartbeat(
        instance_id=required_text(raw, "id"),
        extractor=required_text(info, "name"),
        version=_version(info.get("version")),
        info_json=info_json(info),
        received_at=received_at,
        queue=optional_text(raw, "queue"),
        owner=optional_text(raw, "owner"),
        jobs=_jobs(raw.get("jobs")),
        interval_s=None if interval_s is None else number(interval_s, "interval_s", 0, MAX_INTERVAL_S),
        host=optional_text(raw, "host"),
        pid=None if pid is None else int(number(pid, "pid", 0, MAX_INT64)),
        sent_at=None if sent_at is None else parse_time(sent_at),
        sequence=None if sequence is None else int(number(sequence, "sequence", 0, MAX_INT64)),
        stopping=stopping,
    )


def encode_heartbeat(
    *,
    instance_id: str,
    extractor_info: Mapping[str, object],
    queue: str,
    sent_at: datetime,
    sequence: int,
    owner: str | None = None,
    extra: Mapping[str, object] | None = None,
) -> bytes:
    """Write one heartbeat so that pyClowder's other readers understand it.

    Args:
        instance_id: The worker process.
        extractor_info: Its extractor's description; `name` and `version` are needed.
        queue: The queue that it takes its work from.
        sent_at: Now, with a zone.
        sequence: Larger than that of every earlier heartbeat of this process.
        owner: The owner's email.
        extra: Our other additions: `jobs`, `interval_s`, `host`, `pid`, `stopping`. None values are left out.

    Returns:
        The body, JSON in UTF-8.
    """
    fields: dict[str, object] = {
        "id": instance_id,
        "queue": queue,
        "owner": owner,
        "extractor_info": extractor_info,
        "sent_at": sent_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "sequence": sequence,
    }
    fields.update({name: value for name, value in (extra or {}).items() if value is not None})
    return json.dumps(fields, ensure_ascii=True).encode()


def listed(jobs: Collection[str] | None) -> list[str] | None:
    """Make the wire's `jobs` of a collection: in order, at most `MAX_JOBS`; None stays None."""
    return None if jobs is None else sorted(jobs)[:MAX_JOBS]


VersionKey = tuple[tuple[int, int, str], ...]

_VERSION_TOKEN = re.compile(r"[0-9]+|[a-z]+")
_PRE_RELEASES = {
    **dict.fromkeys(("dev", "snapshot", "nightly"), "0"),
    **dict.fromkeys(("a", "alpha"), "1"),
    **dict.fromkeys(("b", "beta", "m", "milestone"), "2"),
    **dict.fromkeys(("c", "rc", "pre", "preview"), "3"),
}
_PRE_RELEASE, _END, _WORD, _NUMBER = range(4)


@lru_cache(maxsize=4096)
def version_key(version: str) -> VersionKey:
    """Make the key that versions are ordered by.

    Numbers count as numbers (`1.9` < `1.10`); trailing zeros, a leading `v` and the kind of separators don't count
    (`2.0` = `v2.0.0`); pre-releases come before their release (`2.0.dev1` < `2.0a1` < `2.0-beta` < `2.0-rc1` < `2.0`),
    other additions after it (`2.0` < `2.0.post1`, `2.0` < `2.0+build5`). An empty version is the oldest.

    Args:
        version: The version's text, of any form.

    Returns:
        A key that compares with those of other versions.
    """
    tokens = _VERSION_TOKEN.findall(version.strip().lower().removeprefix("v"))
    key: list[tuple[int, int, str]] = []
    for token in (*tokens, ""):
        if token.isdigit():
            key.append((_NUMBER, int(token), ""))
            continue
        while key and key[-1] == (_NUMBER, 0, "") and len(key) > 1 and key[-2][0] == _NUMBER:
            key.pop()
        if token in _PRE_RELEASES:
            key.append((_PRE_RELEASE, 0, _PRE_RELEASES[token]))
        else:
            key.append((_WORD, 0, token) if token else (_END, 0, ""))
    return tuple(key) if tokens else ((_PRE_RELEASE, -1, ""),)


def _version(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    return optional_text({"extractor_info.version": value}, "extractor_info.version") or ""


def _jobs(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(job_id, str) for job_id in value):
        raise DecodeError(DeadLetterReason.WRONG_TYPE, "jobs is not a list of texts")
    if len(value) > MAX_JOBS or any(len(job_id) > MAX_ID_LENGTH for job_id in value):
        detail = f"jobs holds more than {MAX_JOBS} ids, or one of more than {MAX_ID_LENGTH} characters"
        raise DecodeError(DeadLetterReason.OUT_OF_RANGE, detail)
    return tuple(value)

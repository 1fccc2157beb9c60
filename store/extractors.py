"""Extractors in all their versions, their live instances, and when the monitor was there to see them.

Every write decides inside the database whether it is the newer one, so any number of monitors may write in any order.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

from pymongo import ReturnDocument, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from jobtrail.models.errors import NotFoundError, StoreError
from jobtrail.models.heartbeat import (
    ExtractorRecord,
    ExtractorVersion,
    Heartbeat,
    InstanceRecord,
    MonitorWatch,
    version_key,
)
from jobtrail.models.redaction import redact
from jobtrail.store.database import DUPLICATE_KEY, REFUSALS, Database, Document, translated

LONGEST_BREAK = timedelta(seconds=5)
"""A monitor that was away for longer has not watched meanwhile."""
SHORTEST_WATCH = timedelta(minutes=10)
"""Two breaks with a shorter watch between them count as one break."""
SHORTEST_GAP_S = 0.5
"""Heartbeats that follow each other faster say nothing about the interval: they waited
together, or were sent because a job began or ended."""

NEVER = datetime.min.replace(tzinfo=UTC)


class ExtractorRepository:
    """What heartbeats report, stored in `extractors`, `extractor_instances` and `monitors`."""

    def __init__(self, database: Database) -> None:
        self._extractors = database.extractors
        self._instances = database.extractor_instances
        self._monitors = database.collection("monitors")

    async def record(self, heartbeats: Sequence[Heartbeat], watched_since: datetime = NEVER) -> dict[str, str]:
        """Store heartbeats, one per instance; one that is older than what is stored changes nothing.

        Gaps that began before `watched_since` teach no interval: heartbeats may have been missed. Return the error of
        each instance whose heartbeat the database refused for good. After a `StoreError` some may be stored: repeating
        does no harm.
        """
        newest: dict[tuple[str, str], Heartbeat] = {}
        for beat in heartbeats:
            known = newest.get((beat.extractor, beat.version))
            if known is None or known.received_at <= beat.received_at:
                newest[beat.extractor, beat.version] = beat
        versions = [(beat.instance_id, _version_update(beat)) for beat in newest.values()]
        instances = [(beat.instance_id, _instance_update(beat, watched_since)) for beat in heartbeats]
        # In this order no reader finds an instance whose extractor is not there yet.
        refused = await _write_all(self._extractors, versions)
        return refused | await _write_all(self._instances, instances)

    async def list(self) -> Sequence[ExtractorRecord]:
        """Return every extractor, by name."""
        with translated():
            documents = await self._extractors.find().sort("name", 1).to_list()
        by_name = groupby(documents, key=lambda document: str(document["name"]))
        return [_extractor_from(name, group) for name, group in by_name]

    async def latest_versions(self, names: Collection[str]) -> dict[str, str]:
        """Return the version of each extractor that was seen last, if it was ever seen."""
        with translated():
            found = self._extractors.find({"name": {"$in": list(names)}}, {"name": 1, "version": 1}).sort(
                "last_seen", 1
            )
            return {str(document["name"]): str(document["version"]) async for document in found}

    async def get(self, name: str) -> ExtractorRecord:
        """Return one extractor; it is a `NotFoundError` if no heartbeat of it was ever seen."""
        with translated():
            documents = await self._extractors.find({"name": name}).to_list()
        if not documents:
            raise NotFoundError(f"no heartbeat was ever received from an extractor {name!r}")
        return _extractor_from(name, documents)

    async def instances(self, extractor: str | None = None) -> Sequence[InstanceRecord]:
        """Return the instances of one extractor or of all, the latest seen first."""
        chosen: Document = {} if extractor is None else {"extractor": extractor}
        with translated():
            documents = await self._instances.find(chosen).sort([("last_seen", -1), ("_id", 1)]).to_list()
        return [_instance_from(document) for document in documents]

    async def instances_of(self, extractors: Collection[str]) -> Mapping[str, Sequence[InstanceRecord]]:
        """Return the instances of each of these extractors, the latest seen first."""
        found: dict[str, list[InstanceRecord]] = {name: [] for name in extractors}
        with translated():
            wanted = self._instances.find({"extractor": {"$in": list(extractors)}})
            async for document in wanted.sort([("last_seen", -1), ("_id", 1)]):
                instance = _instance_from(document)
                found[instance.extractor].append(instance)
        return found

    async def watch(self, queue: str) -> MonitorWatch:
        """Return when a monitor ran to see heartbeats; if never, the watch ended at the beginning of time."""
        with translated():
            document = await self._monitors.find_one({"_id": queue})
        return _watch_from(document) if document else MonitorWatch(since=NEVER, until=NEVER)

    async def note_watch(self, queue: str, now: datetime) -> MonitorWatch:
        """Note that a monitor runs and has stored all heartbeats up to `now`; return the watch so far."""
        watched_ms = {"$subtract": ["$until", "$since"]}
        short = {"$lt": [watched_ms, SHORTEST_WATCH / timedelta(milliseconds=1)]}
        before = {"$cond": [short, {"$ifNull": ["$before", "$until"]}, "$until"]}
        change = {
            "$switch": {
                "branches": [
                    {"case": {"$lte": ["$until", None]}, "then": {"since": now, "until": now}},
                    {
                        "case": {"$lt": ["$until", now - LONGEST_BREAK]},
                        "then": {"since": now, "until": now, "before": before},
                    },
                ],
                "default": {"until": {"$max": ["$until", now]}},
            }
        }
        pipeline = [{"$replaceWith": {"$mergeObjects": ["$$ROOT", change]}}]
        with translated():
            document = await self._monitors.find_one_and_update(
                {"_id": queue}, pipeline, upsert=True, return_document=ReturnDocument.AFTER
            )
        assert document is not None  # noqa: S101  # an upsert that returns what is there afterwards
        return _watch_from(document)


def _instance_update(beat: Heartbeat, watched_since: datetime) -> UpdateOne:
    """Make the upsert of one instance."""
    facts: Document = {
        "extractor": beat.extractor,
        "version": beat.version,
        "queue": beat.queue,
        "owner": beat.owner,
        "host": beat.host,
        "pid": beat.pid,
        "last_seen": beat.received_at,
        "sent_at": beat.sent_at,
        "sequence": beat.sequence,
        "stopping": beat.stopping,
        "jobs": None if beat.jobs is None else list(beat.jobs),
    }
    older: object = {"$gt": ["$last_seen", beat.received_at]}
    if beat.sequence is not None:
        older = {"$cond": [{"$gt": ["$sequence", None]}, {"$gte": ["$sequence", beat.sequence]}, older]}
    computed: Document = {
        "first_seen": {"$ifNull": ["$first_seen", beat.received_at]},
        "interval_s": _learnt_interval(beat.received_at, watched_since) if beat.interval_s is None else beat.interval_s,
    }
    newer = {"$mergeObjects": ["$$ROOT", {"$literal": facts}, computed]}
    return UpdateOne({"_id": beat.instance_id}, [{"$replaceWith": {"$cond": [older, "$$ROOT", newer]}}], upsert=True)


def _learnt_interval(received_at: datetime, watched_since: datetime) -> Document:
    """Learn the interval from the gap since the last heartbeat.

    A longer gap counts at once, a shorter one draws the interval halfway down: with too long an interval a dead
    instance shows as online for a while, with too short a one a live instance shows as offline.
    """
    gap = {"$divide": [{"$subtract": [received_at, "$last_seen"]}, 1000]}
    falling = {"$avg": ["$interval_s", gap]}
    learnt = {"$cond": [{"$gte": [gap, SHORTEST_GAP_S]}, {"$max": [gap, falling]}, "$interval_s"]}
    return {"$cond": [{"$gte": ["$last_seen", watched_since]}, learnt, {"$ifNull": ["$interval_s", None]}]}


def _version_update(beat: Heartbeat) -> UpdateOne:
    """Make the upsert of one extractor version; each has its own document, so an older one never replaces a newer."""
    older = {"$gt": ["$last_seen", beat.received_at]}
    same = {"$eq": ["$info_json", {"$literal": beat.info_json}]}
    unchanged = {"$or": [{"$lte": ["$info_json", None]}, same]}
    newer: Document = {
        "info_json": {"$literal": beat.info_json},
        "last_seen": beat.received_at,
        "info_changes": {"$add": [{"$ifNull": ["$info_changes", 0]}, {"$cond": [unchanged, 0, 1]}]},
        "info_changed_at": {"$cond": [unchanged, {"$ifNull": ["$info_changed_at", None]}, beat.received_at]},
        "first_seen": {"$ifNull": ["$first_seen", beat.received_at]},
    }
    known = {"$literal": {"name": beat.extractor, "version": beat.version}}
    pipeline = [{"$replaceWith": {"$cond": [older, "$$ROOT", {"$mergeObjects": ["$$ROOT", known, newer]}]}}]
    return UpdateOne({"_id": {"name": beat.extractor, "version": beat.version}}, pipeline, upsert=True)


async def _write_all(collection: AsyncCollection[Document], updates: Iterable[tuple[str, UpdateOne]]) -> dict[str, str]:
    """Write updates in bulk; return the errors of those that were refused for good, by the key they came with."""
    todo = list(updates)
    refused: dict[str, str] = {}
    # Two first heartbeats of one instance or extractor may both try to insert it: the second try finds it there.
    for _ in range(2):
        if not todo:
            break
        try:
            with translated():
                await collection.bulk_write([update for _, update in todo], ordered=False)
            break
        except StoreError as error:
            errors = _write_errors(error)
        refused |= {todo[index][0]: text for index, (code, text) in errors.items() if code != DUPLICATE_KEY}
        todo = [todo[index] for index, (code, _) in errors.items() if code == DUPLICATE_KEY]
    return refused


def _write_errors(error: StoreError) -> dict[int, tuple[int, str]]:
    """Return code and text of each write that failed by its own fault; raise the error again when it is an outage."""
    cause = error.__cause__
    details = (cause.details or {}) if isinstance(cause, BulkWriteError) else {}
    failed = details.get("writeErrors", ())
    if (
        not failed
        or details.get("writeConcernErrors")
        or any(each["code"] not in REFUSALS | {DUPLICATE_KEY} for each in failed)
    ):
        raise error
    return {each["index"]: (each["code"], redact(str(each["errmsg"]))[:300]) for each in failed}


def _extractor_from(name: str, documents: Iterable[Mapping[str, Any]]) -> ExtractorRecord:
    versions = [
        ExtractorVersion(
            version=document["version"],
            info=json.loads(document["info_json"]),
            first_seen=document["first_seen"],
            last_seen=document["last_seen"],
            info_changes=document["info_changes"],
            info_changed_at=document["info_changed_at"],
        )
        for document in documents
    ]
    versions.sort(key=lambda version: (version_key(version.version), version.last_seen), reverse=True)
    return ExtractorRecord(name=name, versions=tuple(versions))


def _instance_from(document: Mapping[str, Any]) -> InstanceRecord:
    jobs = document["jobs"]
    return InstanceRecord(
        instance_id=document["_id"],
        extractor=document["extractor"],
        version=document["version"],
        first_seen=document["first_seen"],
        last_seen=document["last_seen"],
        queue=document["queue"],
        owner=document["owner"],
        host=document["host"],
        pid=document["pid"],
        interval_s=document["interval_s"],
        jobs=None if jobs is None else tuple(jobs),
        stopping=document["stopping"],
    )


def _watch_from(document: Mapping[str, Any]) -> MonitorWatch:
    return MonitorWatch(since=document["since"], until=document["until"], before=document.get("before"))

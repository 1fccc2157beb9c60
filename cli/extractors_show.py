"""Reads the extractors and prints them: as JSON, or as a table."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text

from cli.console import make_console
from cli.context import current_settings, open_database
from cli.formats import one_line, relative, rfc3339
from cli.palette import GOOD, QUIET
from heartbeat.liveness import Evidence, online
from models.heartbeat import ExtractorRecord, ExtractorVersion, InstanceRecord
from store.extractors import ExtractorRepository

JsonObject = dict[str, object]
_OFFLINE_SHOWN = 2
_ONLINE_SHOWN = 20


@dataclass(slots=True, frozen=True, kw_only=True)
class JudgedInstance:
    """An instance, and whether it is online."""

    record: InstanceRecord
    evidence: Evidence


@dataclass(slots=True, frozen=True, kw_only=True)
class JudgedExtractor:
    """An extractor with its instances, the live ones first."""

    record: ExtractorRecord
    instances: Sequence[JudgedInstance]

    @property
    def online(self) -> bool:
        """Whether at least one instance is online."""
        return any(instance.evidence.online for instance in self.instances)


async def read() -> Sequence[JudgedExtractor]:
    """Read all extractors.

    Returns:
        The extractors, by name.

    Raises:
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    settings = current_settings()
    async with open_database(settings) as database:
        repository = ExtractorRepository(database)
        records = await repository.list()
        watch = await repository.watch(settings.heartbeat_queue)
        now = datetime.now(UTC)
        by_extractor: dict[str, list[JudgedInstance]] = {}
        for record in await repository.instances():
            judged = JudgedInstance(record=record, evidence=online(record, now, settings, watch))
            by_extractor.setdefault(record.extractor, []).append(judged)
    for instances in by_extractor.values():
        instances.sort(key=lambda judged: not judged.evidence.online)
    return [JudgedExtractor(record=record, instances=by_extractor.get(record.name, [])) for record in records]


def print_json(found: Sequence[JudgedExtractor]) -> None:
    """Print the extractors as one JSON object.

    Args:
        found: The extractors.
    """
    page = {"extractors": [extractor_json(extractor) for extractor in found]}
    sys.stdout.write(f"{json.dumps(page, indent=2)}\n")


def extractor_json(extractor: JudgedExtractor) -> JsonObject:
    """Make the JSON of an extractor.

    Args:
        extractor: The extractor.

    Returns:
        The object.
    """
    record = extractor.record
    return {
        "name": record.name,
        "version": record.version,
        "description": record.info.get("description"),
        "online": extractor.online,
        "instances": [_instance_json(instance) for instance in extractor.instances],
        "first_seen": rfc3339(record.first_seen),
        "last_seen": rfc3339(record.last_seen),
        "versions": [_version_json(version) for version in record.versions],
        "extractor_info": record.info,
    }


def _instance_json(instance: JudgedInstance) -> JsonObject:
    record, evidence = instance.record, instance.evidence
    return {
        "id": record.instance_id,
        "online": evidence.online,
        "basis": evidence.basis.value,
        "evidence": evidence.evidence,
        "version": record.version,
        "queue": record.queue,
        "owner": record.owner,
        "host": record.host,
        "pid": record.pid,
        "interval_s": record.interval_s,
        "first_seen": rfc3339(record.first_seen),
        "last_seen": rfc3339(record.last_seen),
        "jobs": None if record.jobs is None else list(record.jobs),
    }


def _version_json(version: ExtractorVersion) -> JsonObject:
    return {
        "version": version.version,
        "first_seen": rfc3339(version.first_seen),
        "last_seen": rfc3339(version.last_seen),
    }


def print_extractors(found: Sequence[JudgedExtractor]) -> None:
    """Print the extractors for people.

    Args:
        found: The extractors.
    """
    console = make_console()
    if not found:
        console.print("No extractor has sent a heartbeat yet.")
        console.print(Text("  See a fleet at work:       jobtrail up --demo", style=QUIET))
        console.print(Text("  Is the monitor running?    jobtrail doctor", style=QUIET))
        return
    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    table.add_column("EXTRACTOR", overflow="ellipsis", no_wrap=True)
    table.add_column("VERSION", no_wrap=True, overflow="ellipsis", max_width=12)
    table.add_column("STATE", no_wrap=True)
    table.add_column("LAST SEEN", no_wrap=True)
    table.add_column("JOBS", no_wrap=True, justify="right")
    for extractor in found:
        alive = sum(instance.evidence.online for instance in extractor.instances)
        state = Text(f"● {alive} online", style=GOOD) if alive else Text("○ offline", style=QUIET)
        table.add_row(
            Text(one_line(extractor.record.name), style="bold"),
            one_line(extractor.record.version),
            state,
            relative(extractor.record.last_seen, now),
            "",
        )
        for instance in _shown(extractor.instances):
            table.add_row(*_instance_row(instance, extractor.record, now))
        hidden = len(extractor.instances) - len(_shown(extractor.instances))
        if hidden:
            table.add_row(Text(f"  … and {hidden} more", style=QUIET), "", "", "", "")
    console.print(table)


def _shown(instances: Sequence[JudgedInstance]) -> Sequence[JudgedInstance]:
    alive = [instance for instance in instances if instance.evidence.online]
    dead = [instance for instance in instances if not instance.evidence.online]
    return [*alive[:_ONLINE_SHOWN], *dead[:_OFFLINE_SHOWN]]


def _instance_row(instance: JudgedInstance, extractor: ExtractorRecord, now: datetime) -> tuple[str | Text, ...]:
    record, evidence = instance.record, instance.evidence
    where = f"{record.host}:{record.pid}" if record.host and record.pid else record.host or record.instance_id
    state = "●" if evidence.online else "○ stopped" if record.stopping else "○ silent"
    return (
        Text(f"  {one_line(where)}", style=QUIET),
        "" if record.version == extractor.version else Text(one_line(record.version), style=QUIET),
        Text(state, style=GOOD if evidence.online else QUIET),
        Text(relative(record.last_seen, now), style=QUIET),
        Text("not told" if record.jobs is None else str(len(record.jobs)), style=QUIET),
    )

"""Reads the extractors and prints them: as JSON, or as a table."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.models.heartbeat import ExtractorRecord
from jobtrail.models.times import relative
from jobtrail.operations.extractor_list import JudgedExtractor, JudgedInstance, list_extractors
from jobtrail.operations.schemas.extractors import ExtractorListSchema, ExtractorSchema
from jobtrail.store.extractors import ExtractorRepository

_OFFLINE_SHOWN = 2
_ONLINE_SHOWN = 20


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
        return await list_extractors(ExtractorRepository(database), settings)


def print_json(found: Sequence[JudgedExtractor]) -> None:
    """Print the extractors as one JSON object.

    Args:
        found: The extractors.
    """
    page = ExtractorListSchema(extractors=[ExtractorSchema.model_validate(extractor) for extractor in found])
    write_json(page.json_object())


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
    table = make_table()
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

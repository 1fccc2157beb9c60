"""`jobtrail extractors`: who is online, and what each instance is working on."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import GOOD, QUIET
from jobtrail.models.heartbeat import ExtractorRecord
from jobtrail.models.times import relative
from jobtrail.operations.extractors import ListedExtractor, ListedInstance, list_extractors
from jobtrail.operations.schemas.extractors import ExtractorListSchema, ExtractorSchema
from jobtrail.store.extractors import ExtractorRepository

_OFFLINE_SHOWN = 2
_ONLINE_SHOWN = 20

Row = tuple[str | Text, ...]


def extractors(as_json: JsonOption = False) -> None:
    """List the extractors that ever sent a heartbeat: versions, live instances, and what each is working on."""
    found = run_interruptible(_read())
    if as_json:
        page = ExtractorListSchema(extractors=[ExtractorSchema.model_validate(extractor) for extractor in found])
        write_json(page.json_object())
    else:
        _print(found)


async def _read() -> Sequence[ListedExtractor]:
    settings = current_settings()
    async with open_database(settings) as database:
        return await list_extractors(ExtractorRepository(database), settings)


def _print(found: Sequence[ListedExtractor]) -> None:
    console = make_console()
    if not found:
        console.print("No extractor has sent a heartbeat yet.")
        console.print(Text("  See a fleet at work:       jobtrail up --demo", style=QUIET))
        console.print(Text("  Is the monitor running?    jobtrail doctor", style=QUIET))
        return
    table = make_table()
    table.add_column("EXTRACTOR", overflow="ellipsis", no_wrap=True)
    table.add_column("VERSION", no_wrap=True, overflow="ellipsis", max_width=12)
    table.add_column("STATE", no_wrap=True)
    table.add_column("LAST SEEN", no_wrap=True)
    table.add_column("JOBS", no_wrap=True, justify="right")
    now = datetime.now(UTC)
    for extractor in found:
        for row in _rows(extractor, now):
            table.add_row(*row)
    console.print(table)


def _rows(extractor: ListedExtractor, now: datetime) -> Iterator[Row]:
    """Yield a row for the extractor, then one for each of its instances that is shown."""
    alive = sum(instance.evidence.online for instance in extractor.instances)
    state = Text(f"● {alive} online", style=GOOD) if alive else Text("○ offline", style=QUIET)
    record = extractor.record
    name = Text(one_line(record.name), style="bold")
    yield name, one_line(record.version), state, relative(record.last_seen, now), ""
    shown = _shown(extractor.instances)
    for instance in shown:
        yield _instance_row(instance, record, now)
    hidden = len(extractor.instances) - len(shown)
    if hidden:
        yield (Text(f"  … and {hidden} more", style=QUIET),)


def _shown(instances: Sequence[ListedInstance]) -> Sequence[ListedInstance]:
    alive = [instance for instance in instances if instance.evidence.online]
    dead = [instance for instance in instances if not instance.evidence.online]
    return [*alive[:_ONLINE_SHOWN], *dead[:_OFFLINE_SHOWN]]


def _instance_row(instance: ListedInstance, extractor: ExtractorRecord, now: datetime) -> Row:
    record, evidence = instance.record, instance.evidence
    where = f"{record.host}:{record.pid}" if record.host and record.pid else record.host or record.instance_id
    state = "●" if evidence.online else "○ stopped" if record.stopping else "○ silent"
    return (
        Text(f"  {one_line(where)}", style=QUIET),
        "" if record.version == extractor.version else Text(one_line(record.version), style=QUIET),
        Text(state, style=GOOD if evidence.online else QUIET),
        Text(relative(record.last_seen, now), style=QUIET),
        Text("unknown" if record.jobs is None else str(len(record.jobs)), style=QUIET),
    )

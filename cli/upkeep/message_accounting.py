"""Message accounting: was each message that was taken from a stream or a queue stored exactly once?"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

from rich.console import Console
from rich.text import Text

from jobtrail.broker.queue_depth import QueueDepth
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.deadletters.accounting import Audit, audit
from jobtrail.models.dead_letters.accounting import Balance
from jobtrail.models.position import Position
from jobtrail.models.times import clock
from jobtrail.operations.schemas.accounting import AuditSchema

_HEADINGS = ("HANDED OUT", "STORED", "DUPLICATES", "DEAD LETTERS", "MISSING", "DOUBLED")
_HOUR_WIDTH = 12


async def read(since: datetime) -> Audit:
    """Account for all messages; the hour in which `since` lies is the first one."""
    settings = current_settings()
    async with open_database(settings) as database:
        with ProgressTeller("Comparing streams with what is stored"):
            return await audit(settings, database, since)


def print_json(found: Audit) -> None:
    """Print the accounting as one JSON object."""
    write_json(AuditSchema.model_validate(found).json_object())


def print_accounting(found: Audit) -> None:
    """Print a table per stream or queue, what waits in each, and the result."""
    console = make_console()
    states = {depth.queue: _depth_text(depth) for depth in found.waiting}
    states |= {position.stream: _position_text(position) for position in found.positions}
    for queue, balances in groupby(found.balances, key=lambda balance: balance.tally.queue):
        console.print(Text.assemble((one_line(queue), "bold"), "  ", states.pop(queue, _UNKNOWN)))
        _print_table(console, list(balances))
        console.print()
    for queue, state in states.items():
        console.print(Text.assemble((one_line(queue), "bold"), "  ", state))
    _print_result(console, found)


def _print_table(console: Console, balances: Sequence[Balance]) -> None:
    table = make_table()
    table.add_column("HOUR (UTC)", no_wrap=True, min_width=_HOUR_WIDTH)
    for heading in _HEADINGS:
        table.add_column(heading, no_wrap=True, justify="right")
    for balance in balances:
        tally = balance.tally
        taken = [tally.handed_out, tally.stored, tally.duplicates, tally.dead_lettered]
        sign = "✖" if balance.wrong else " "
        cells = [f"{sign} {tally.hour:%m-%d %H:%M}", *map(_number, [*taken, balance.missing, balance.doubled])]
        table.add_row(*cells, style=BAD if balance.wrong else "")
    console.print(table)
    for balance in balances:
        hour = f"{balance.tally.hour:%m-%d %H:%M}"
        if balance.wrong:
            console.print(Text(f"✖ {hour}: {balance.difference}", style=BAD), soft_wrap=True)
        elif balance.waiting:
            letters = "dead letter waits" if balance.waiting == 1 else "dead letters wait"
            console.print(Text(f"  {hour}: {balance.waiting:,} {letters} to be captured", style=QUIET), soft_wrap=True)


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"


_UNKNOWN = Text("not among the queues in the settings", style=QUIET)


def _position_text(position: Position) -> Text:
    epoch = f" of epoch {position.epoch:,}" if position.epoch > 1 else ""
    words = "nothing stored yet" if position.is_new else f"stored up to offset {position.offset:,}"
    return Text(f"{words}{epoch}", style=QUIET)


def _depth_text(depth: QueueDepth) -> Text:
    if depth.missing:
        return Text("the queue does not exist yet", style=QUIET)
    if depth.waiting is None:
        return Text(f"unknown how much waits: {depth.problem}", style=WARNING)
    return Text(f"{depth.waiting:,} waiting, {depth.consumers or 0:,} consuming", style=QUIET)


def _print_result(console: Console, found: Audit) -> None:
    since = clock(found.since)
    if not found.balances:
        console.print(f"No messages since {since}.")
        console.print(Text("  Look further back:          jobtrail verify --messages --since 1w", style=QUIET))
        console.print(Text("  Is the consumer running?    jobtrail doctor", style=QUIET))
    elif found.wrong:
        console.print(Text(f"✖ {_problem(found)} since {since}.", style=BAD))
        hint = "Was a collection edited or restored, or the dead-letter queue emptied by another program?"
        console.print(Text(f"  → {hint}", style=QUIET), soft_wrap=True)
    else:
        count = sum(balance.tally.handed_out for balance in found.balances)
        messages = "The one message" if count == 1 else f"All {count:,} messages"
        console.print(Text.assemble(("✔ ", GOOD), f"{messages} since {since} are accounted for."), soft_wrap=True)


def _problem(found: Audit) -> str:
    missing = "1 message is missing" if found.missing == 1 else f"{found.missing:,} messages are missing"
    doubled = "1 message is stored twice" if found.doubled == 1 else f"{found.doubled:,} messages are stored twice"
    return " and ".join(words for words, count in ((missing, found.missing), (doubled, found.doubled)) if count)

"""`jobtrail outbox`: the messages that go to other services."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobtrail.cli.actor import audit_book, this_account
from jobtrail.cli.command_group import JsonOption, examples
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, word_text
from jobtrail.cli.output.status_list import Columns, Line, print_lines
from jobtrail.models.notifications.outbox import OutboxEntry, OutboxOverview, OutboxState
from jobtrail.models.settings import ChannelName
from jobtrail.models.times import relative
from jobtrail.operations.notification_acts import retry_messages
from jobtrail.operations.schemas.outbox import OutboxSchema, RetriedSchema
from jobtrail.store.notifications.outbox import OutboxRepository

_COLUMNS = Columns(state="STATE", name="TO", details=["ATTEMPTS", "KEY"], ends=["CREATED", "SENT"], remark="ERROR")
_SENT_SHOWN = 5

outbox = typer.Typer(invoke_without_command=True)


@outbox.callback(epilog=examples("jobtrail outbox", "jobtrail outbox --failed --json", "jobtrail outbox retry"))
def show(
    context: typer.Context,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only messages that were given up.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Messages that are listed at the most.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the messages to other services: those that wait, those that were given up and why, those sent lately."""
    if context.invoked_subcommand is not None:
        return
    found = run_interruptible(_read(failed_only=failed, limit=limit))
    if as_json:
        write_json(OutboxSchema.of(found).json_object())
    else:
        _print(found, failed_only=failed)


@outbox.command(epilog=examples("jobtrail outbox retry", "jobtrail outbox retry ds-1:Complete:slack:C0123456789"))
def retry(
    keys: Annotated[
        list[str] | None,
        typer.Argument(help="Only these messages; without any, all that were given up.", metavar="KEY"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Try messages again that were given up. Entries that were one message stay one."""
    count = run_interruptible(_retry(keys or None))
    if as_json:
        write_json(RetriedSchema(retried=count).json_object())
    elif count:
        typer.echo(f"{count:,} message{'' if count == 1 else 's'} will be tried again.\nWatch:  jobtrail outbox")
    else:
        typer.echo("No message was given up.")


async def _read(*, failed_only: bool, limit: int) -> OutboxOverview:
    async with open_database(current_settings()) as database:
        return await OutboxRepository(database).overview(failed_only=failed_only, limit=limit, max_sent=_SENT_SHOWN)


async def _retry(keys: Sequence[str] | None) -> int:
    async with open_database(current_settings()) as database:
        return await retry_messages(OutboxRepository(database), audit_book(database), this_account(), keys)


def _print(found: OutboxOverview, *, failed_only: bool) -> None:
    console = make_console()
    now = datetime.now(UTC)
    if found.unsent:
        _print_backlog(console, found.backlog)
        print_lines(console, _COLUMNS, [_line(entry, now) for entry in found.unsent])
    else:
        console.print("No message was given up." if failed_only else "No message is waiting, and none was given up.")
    if found.sent:
        console.print(Text("\nSent lately", style="bold"))
        print_lines(console, _COLUMNS, [_line(entry, now) for entry in found.sent])
    if any(state is OutboxState.FAILED for _channel, state in found.backlog):
        console.print(Text("\nRetry what was given up:  jobtrail outbox retry", style=QUIET))
    elif not found.unsent and not found.sent:
        console.print(Text("  Which channels are on?  jobtrail doctor", style=QUIET))


def _print_backlog(console: Console, backlog: Mapping[tuple[ChannelName, OutboxState], int]) -> None:
    for name in ChannelName:
        counts = [(state, backlog[name, state]) for state in OutboxState if (name, state) in backlog]
        if counts:
            words = ", ".join(f"{count:,} {_STATE_WORDS[state]}" for state, count in counts)
            style = BAD if (name, OutboxState.FAILED) in backlog else ""
            console.print(Text.assemble((f"{name:<8}", "bold"), (words, style)))
    console.print()


_STATE_WORDS = {
    OutboxState.WAITING: "waiting",
    OutboxState.SENDING: "being sent",
    OutboxState.SENT: "sent",
    OutboxState.FAILED: "given up",
}


def _line(entry: OutboxEntry, now: datetime) -> Line:
    return Line(
        state=word_text(entry.state.value),
        name=f"{entry.channel} to {entry.recipient}",
        details=[str(entry.attempts), entry.key],
        ends=[relative(entry.created_at, now), relative(entry.sent_at, now) if entry.sent_at else "-"],
        remark=Text(one_line(entry.error or ""), style=BAD if entry.state is OutboxState.FAILED else WARNING),
    )

"""Reads the outbox and prints it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from jobtrail.cli.access.audit_log_note import note
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, WARNING, word_text
from jobtrail.cli.output.status_list import Columns, Line, print_lines
from jobtrail.models.errors import NotFoundError
from jobtrail.models.notifications.outbox import OutboxEntry, OutboxState
from jobtrail.models.settings import ChannelName
from jobtrail.models.times import relative
from jobtrail.operations.schemas.outbox import OutboxSchema
from jobtrail.store.notifications.outbox import OutboxRepository

_UNSENT = (OutboxState.WAITING, OutboxState.SENDING, OutboxState.FAILED)
_COLUMNS = Columns(state="STATE", name="TO", details=["ATTEMPTS", "KEY"], ends=["CREATED", "SENT"], remark="ERROR")
_SENT_SHOWN = 5


@dataclass(slots=True, frozen=True, kw_only=True)
class Outbox:
    """What `jobtrail outbox` shows."""

    unsent: Sequence[OutboxEntry]
    """The newest first."""
    sent: Sequence[OutboxEntry]
    """The newest of those that were sent."""
    backlog: Mapping[tuple[ChannelName, OutboxState], int]
    """How many are not sent."""


async def read(*, failed_only: bool, limit: int) -> Outbox:
    """Read the outbox.

    Returns what it holds.
    """
    async with open_database(current_settings()) as database:
        repository = OutboxRepository(database)
        states = [OutboxState.FAILED] if failed_only else _UNSENT
        return Outbox(
            unsent=await repository.entries(states, limit=limit),
            sent=[] if failed_only else await repository.entries([OutboxState.SENT], limit=_SENT_SHOWN),
            backlog=await repository.backlog(),
        )


async def retry(keys: Sequence[str] | None) -> int:
    """Let messages be tried again.

    `keys`: which; None for all that were given up. Returns how many will be tried again. Raises `NotFoundError`: none
    of the keys is that of a message that waits or was given up.
    """
    async with open_database(current_settings()) as database:
        count = await OutboxRepository(database).retry(keys)
        if count:
            target = ", ".join(keys) if keys else "all that were given up"
            await note(database, "outbox.retry", target=target, details={"count": str(count)})
    if keys and not count:
        raise NotFoundError("none of these keys is that of a message that waits or was given up: see jobtrail outbox")
    return count


def print_json(found: Outbox) -> None:
    """Print the outbox as one JSON object."""
    write_json(OutboxSchema.of(found.unsent, found.sent, found.backlog).json_object())


def print_outbox(found: Outbox, *, failed_only: bool) -> None:
    """Print the outbox."""
    console = make_console()
    now = datetime.now(UTC)
    if found.unsent:
        _print_backlog(console, found.backlog)
        print_lines(console, _COLUMNS, [_line(entry, now) for entry in found.unsent])
    else:
        console.print("No message was given up." if failed_only else "No message waits, and none was given up.")
    if found.sent:
        console.print(Text("\nSent lately", style="bold"))
        print_lines(console, _COLUMNS, [_line(entry, now) for entry in found.sent])
    if any(state is OutboxState.FAILED for _channel, state in found.backlog):
        console.print(Text("\nTry again what was given up:  jobtrail outbox retry", style=QUIET))
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

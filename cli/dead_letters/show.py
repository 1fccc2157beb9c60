"""`jobtrail deadletters show`: all about one dead letter."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from difflib import unified_diff
from shlex import quote
from typing import Annotated

import typer
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.list import state_text
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.output.console import make_console, make_table, write_json
from jobtrail.cli.output.formats import one_line, printable
from jobtrail.cli.output.palette import BAD, GOOD, QUIET, WARNING
from jobtrail.cli.output.status_list import WIDE
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterKind, LetterState
from jobtrail.models.dead_letters.dry_run import Judgement, Verdict
from jobtrail.models.times import clock, relative
from jobtrail.operations.dead_letter_view import Content, LetterView, look_at
from jobtrail.operations.schemas.dead_letters import LetterDetailSchema

_KINDS = {
    LetterKind.UPDATE: "a status update",
    LetterKind.HEARTBEAT: "a heartbeat",
    LetterKind.REQUEST: "a job request",
    LetterKind.OTHER: "another service's message",
}
VERDICTS = {
    Verdict.APPLIES: ("✔", "would apply", GOOD),
    Verdict.DUPLICATE: ("=", "duplicate", WARNING),
    Verdict.FAILS: ("✖", "still fails", BAD),
    Verdict.UNKNOWN: ("?", "unknown", WARNING),
}
"""The sign, the words and the colour of each verdict."""
_DIFF_STYLES = {"+": GOOD, "-": "red", "@": QUIET}


def show(
    letter: Annotated[str, typer.Argument(help="The dead letter, as `list` shows it.", metavar="LETTER")],
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: why it is here, its body and properties, its job, and what a replay would do today.

    Secrets are masked.
    """
    view = run_interruptible(_read(letter))
    if as_json:
        write_json(LetterDetailSchema.model_validate(view).json_object())
    else:
        print_letter(view)


async def _read(letter_id: str) -> LetterView:
    settings = current_settings()
    async with open_database(settings) as database:
        return await look_at(settings, database, letter_id)


def print_letter(view: LetterView) -> None:
    """Print a dead letter."""
    console = make_console()
    letter = view.letter
    console.print(Text(f"Dead letter {letter.id}", style="bold"))
    console.print(state_text(letter.state))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _facts(view, datetime.now(UTC)):
        grid.add_row(f"  {name}", value)
    console.print(grid)
    _print_content(console, view.content)
    if letter.edit is not None and view.edited is not None:
        _heading(console, f"Edited by {one_line(letter.edit.by)} at {clock(letter.edit.at)}; a replay sends")
        print_changes(console, view.content, view.edited)
    if letter.sendings:
        _print_sendings(console, letter)
    _print_next_steps(console, view)


def _facts(view: LetterView, now: datetime) -> Iterator[tuple[str, str | Text]]:
    letter, cause = view.letter, view.letter.cause
    yield "why", Text.assemble((one_line(cause.reason), "bold"), f": {view.reason_words}")
    if letter.error:
        yield "error", Text(one_line(letter.error), style=BAD)
    yield "today", _judged(view.judgement, view.target)
    if letter.note:
        yield "discarded", f"{one_line(letter.note)}"
    yield "what", _KINDS[letter.kind]
    number = f", number {letter.origin_seq:,} there" if letter.origin_seq is not None else ""
    yield "from", f"{one_line(cause.origin)}{number}" if cause.origin else "unknown"
    yield (
        "captured",
        f"from {one_line(cause.queue)}, {clock(letter.captured_at)}  ({relative(letter.captured_at, now)})",
    )
    if (letter.captured_at - letter.happened_at).total_seconds() >= 1:
        yield "failed", f"{clock(letter.happened_at)}  ({relative(letter.happened_at, now)})"
    if letter.deaths > 1:
        yield "how often", f"it failed {letter.deaths:,} times"
    sender = f"{cause.extractor_id} {cause.version}".strip()
    if sender:
        yield "extractor", one_line(sender)
    if letter.job_id:
        yield "job", Text.assemble(one_line(letter.job_id), ("" if view.has_job else "  not on record", QUIET))
    yield "group", letter.cause_id
    if letter.parent:
        yield "parent", Text(f"dead letter {letter.parent}, which was replayed and came back as this one")
    if letter.maybe_repeated:
        first = f"possibly of {letter.maybe_repeated}: an equal message, and the broker delivered it again"
        yield "repetition", Text(first, style=WARNING)


def _judged(judgement: Judgement, target: str) -> Text:
    sign, words, style = VERDICTS[judgement.verdict]
    why = judgement.reason
    if judgement.detail:
        why = judgement.detail if judgement.verdict is Verdict.FAILS else f"{why}, {judgement.detail}"
    where = f", sent to {one_line(target)}" if target else ""
    return Text.assemble((f"{sign} {words}", style), f": {one_line(why)}", (where, QUIET))


def _print_content(console: Console, content: Content) -> None:
    _heading(console, f"Body, {content.size_bytes:,} byte{'' if content.size_bytes == 1 else 's'}")
    raw = content.hexadecimal if content.text is None else content.text
    decoded = "" if content.decoded is None else json.dumps(content.decoded, indent=2, ensure_ascii=False)
    if decoded and console.width >= WIDE:
        half = (console.width - 4) // 2
        sides = [_titled("decoded", decoded), _titled("raw", raw)]
        console.print(Columns([Padding(side, (0, 2, 0, 0)) for side in sides], width=half))
    else:
        for title, words in (("decoded", decoded), ("raw", raw)):
            if words:
                console.print(_titled(title, words) if decoded else Text(printable(words)))
    if content.shown_bytes < content.size_bytes:
        hint = "in full: jobtrail deadletters export"
        console.print(Text(f"… {content.shown_bytes:,} bytes shown; {hint}", style=QUIET))
    if content.properties:
        _heading(console, "Properties")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style=QUIET, no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in _flat(content.properties):
            grid.add_row(f"  {one_line(name)}", one_line(value))
        console.print(grid)


def _flat(properties: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """List the properties, then each header on its own."""
    flat = {name: value for name, value in properties.items() if name != "headers"}
    headers = properties.get("headers")
    if isinstance(headers, dict):
        flat |= {f"header {name}": value for name, value in headers.items()}
    for name, value in flat.items():
        yield name, value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def _titled(title: str, words: str) -> Text:
    return Text.assemble((f"{title}\n", QUIET), printable(words))


def print_changes(console: Console, before: Content, after: Content) -> None:
    """Print an edit as a diff."""
    lines = list(unified_diff(_lines(before), _lines(after), lineterm="", n=2))[2:]
    for line in lines:
        words = "  …" if line.startswith("@") else printable(line)
        console.print(Text(words, style=_DIFF_STYLES.get(line[:1], "")), soft_wrap=True)
    if not lines:
        hidden = "only secrets, which are not shown" if before.size_bytes != after.size_bytes else "nothing"
        console.print(Text(f"  {hidden}", style=QUIET))


def _lines(content: Content) -> list[str]:
    if content.decoded is not None:
        body = json.dumps(content.decoded, indent=2, ensure_ascii=False)
    else:
        body = content.hexadecimal if content.text is None else content.text
    properties = [f"{name}: {value}" for name, value in _flat(content.properties)]
    return [*body.splitlines(), *properties]


def _print_sendings(console: Console, letter: DeadLetter) -> None:
    _heading(console, "Replayed")
    table = make_table()
    for heading in ("WHEN", "OUTCOME", "REPLAY", "TO"):
        table.add_column(heading, no_wrap=True)
    table.add_column("DETAIL", overflow="fold")
    for sending in letter.sendings:
        known = one_line(sending.detail)
        if sending.child:
            known = f"{known}, back as {sending.child}".removeprefix(", ")
        cells: list[RenderableType] = [clock(sending.at), state_text(sending.outcome), sending.replay_id]
        table.add_row(*cells, one_line(sending.target), known)
    console.print(table)


def _print_next_steps(console: Console, view: LetterView) -> None:
    letter = view.letter
    steps = {"Group": f"list --group {letter.cause_id} --state any"}
    if letter.state in UNSETTLED:
        steps["Replay"] = f"replay {letter.id}"
        steps["Edit"] = f"edit {letter.id}"
        steps["Discard"] = f"discard {letter.id} --reason TEXT"
    elif letter.state is LetterState.DISCARDED:
        steps["Restore"] = f"restore {letter.id}"
    commands = {words: f"jobtrail deadletters {command}" for words, command in steps.items()}
    if letter.job_id and view.has_job:
        commands = {"Job": f"jobtrail timeline {quote(one_line(letter.job_id))}"} | commands
    width = max(map(len, commands)) + 1
    console.print()
    for words, command in commands.items():
        console.print(Text(f"{words + ':':{width}}  {command}", style=QUIET), soft_wrap=True)


def _heading(console: Console, words: str) -> None:
    heading = f"\n── {words} "
    console.print(Text(heading + "─" * max(0, min(console.width, 100) - len(heading) + 1), style=QUIET))

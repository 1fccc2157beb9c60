"""`jobtrail deadletters list`: dead letters, one line each."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from jobtrail.cli.command_group import JsonOption
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.selection import CursorOption, LimitOption
from jobtrail.cli.interruptible import run_interruptible
from jobtrail.cli.options import with_options
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, word_text
from jobtrail.cli.output.status_list import WIDE, Columns, Line, print_lines, print_next
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterFilter, LetterState
from jobtrail.models.dead_letters.filter import DeadLetterFilter
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.models.errors import SettingError
from jobtrail.models.times import relative
from jobtrail.operations.schemas.dead_letters import LetterListSchema
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.keyset import Page

_ANY = "any"
_WIDE = Columns(
    state="STATE", name="DEAD LETTER", details=["REASON", "EXTRACTOR", "FROM", "JOB"], ends=["CAPTURED"], remark="ERROR"
)
_NARROW = Columns(state="STATE", name="DEAD LETTER", details=["JOB"], ends=["CAPTURED"], remark="ERROR")


@with_options
def list_(
    *,
    which: DeadLetterFilter,
    state: Annotated[
        list[str] | None,
        typer.Option(
            help="In this state; repeatable, or separated by commas; `any` for all. Default: open and unknown.",
            show_default=False,
        ),
    ] = None,
    limit: LimitOption = 20,
    cursor: CursorOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first: those that are open, or whose replay had no known outcome."""
    wanted = replace(which.selection(), states=read_states(state or ()))
    found, unsettled = run_interruptible(_read(wanted, limit=limit, cursor=cursor))
    if as_json:
        write_json(LetterListSchema.model_validate(found).json_object())
    else:
        print_letters(found, unsettled)


def read_states(words: Iterable[str]) -> Sequence[LetterState] | None:
    """Read `--state`: words in any case, also separated by commas; open ones by default, None for any."""
    found: dict[LetterState, None] = {}
    for word in (part.strip() for text in words for part in text.split(",") if part.strip()):
        if word.lower() == _ANY:
            return None
        try:
            found[LetterState(word.lower().replace("-", "_").replace(" ", "_"))] = None
        except ValueError:
            raise SettingError(f"--state {word[:80]!r} is not one of {', '.join(LetterState)}, {_ANY}") from None
    return tuple(found) or UNSETTLED


async def _read(wanted: LetterFilter, *, limit: int, cursor: str | None) -> tuple[Page[DeadLetter], int]:
    """Read one page, and how many of all are open."""
    async with open_database(current_settings()) as database:
        page = await LetterRepository(database).list(wanted, limit=limit, cursor=cursor)
        return page, await CauseRepository(database).unsettled()


def print_letters(found: Page[DeadLetter], unsettled: int) -> None:
    """Print a page; `unsettled` is how many of all are open."""
    console = make_console()
    if not found.rows:
        _print_empty(console, unsettled)
        return
    now, wide = datetime.now(UTC), console.width >= WIDE
    print_lines(console, _WIDE if wide else _NARROW, [_line(letter, now, wide=wide) for letter in found.rows])
    print_next(console, found.next)
    console.print(Text("\nShow one:  jobtrail deadletters show LETTER", style=QUIET))


def _print_empty(console: Console, unsettled: int) -> None:
    if unsettled:
        console.print("No dead letters match.")
        console.print(Text(f"  All open ones ({unsettled:,}):  jobtrail deadletters list", style=QUIET))
    else:
        console.print(Text.assemble(word_text("resolved"), ": there are no open dead letters."))
        console.print(Text("  All of them:             jobtrail deadletters list --state any", style=QUIET))
        console.print(Text("  Is a capture running?    jobtrail doctor", style=QUIET))


def state_text(state: LetterState) -> Text:
    """Make the sign and the word of a state."""
    return word_text(state.value.replace("_", " "))


def _line(letter: DeadLetter, now: datetime, *, wide: bool) -> Line:
    cause = letter.cause
    error = one_line(letter.error)
    details = [letter.job_id or ""]
    if wide:
        sender = f"{cause.extractor_id} {cause.version}".strip()
        details = [cause.reason, sender, cause.origin, letter.job_id or ""]
        words = error or reason_words(cause.reason)
    else:
        words = f"{one_line(cause.reason)}: {error or reason_words(cause.reason)}"
    if letter.maybe_repeated:
        words = f"maybe repeated; {words}"
    return Line(
        state=state_text(letter.state),
        name=letter.id,
        details=details,
        ends=[relative(letter.captured_at, now)],
        remark=Text(words, style=BAD if letter.state in UNSETTLED else ""),
    )

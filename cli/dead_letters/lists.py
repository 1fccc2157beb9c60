"""Reads dead letters and prints them as a list."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.console import make_console, write_json
from jobtrail.cli.output.formats import one_line
from jobtrail.cli.output.palette import BAD, QUIET, word_text
from jobtrail.cli.output.status_list import WIDE, Columns, Line, print_lines, print_next
from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterFilter, LetterState
from jobtrail.models.dead_letters.reasons import reason_words
from jobtrail.models.errors import SettingError
from jobtrail.models.times import relative
from jobtrail.operations.schemas.dead_letters import LetterListSchema
from jobtrail.store.dead_letters.causes import CauseRepository
from jobtrail.store.dead_letters.dead_letters import LetterRepository
from jobtrail.store.keyset import Page

_ANY = "any"
_WIDE = Columns(
    state="STATE", name="LETTER", details=["REASON", "EXTRACTOR", "FROM", "JOB"], ends=["CAPTURED"], remark="ERROR"
)
_NARROW = Columns(state="STATE", name="LETTER", details=["JOB"], ends=["CAPTURED"], remark="ERROR")


def read_states(words: Iterable[str]) -> Sequence[LetterState] | None:
    """Read `--state`: words in any case.

    Args:
        words: One word per option, or several parted by commas.

    Returns:
        The states, each once; those of letters to be looked at where none is named; None for any.

    Raises:
        SettingError: One is no state.
    """
    found: dict[LetterState, None] = {}
    for word in (part.strip() for text in words for part in text.split(",") if part.strip()):
        if word.lower() == _ANY:
            return None
        try:
            found[LetterState(word.lower().replace("-", "_").replace(" ", "_"))] = None
        except ValueError:
            raise SettingError(f"--state {word[:80]!r} is none of {', '.join(LetterState)}, {_ANY}") from None
    return tuple(found) or UNSETTLED


async def read(wanted: LetterFilter, *, limit: int, cursor: str | None) -> tuple[Page[DeadLetter], int]:
    """Read one page of letters.

    Args:
        wanted: Which.
        limit: Letters per page.
        cursor: The `next` of the page before.

    Returns:
        The page, and how many letters of all are to be looked at.

    Raises:
        SettingError: A setting or the cursor is wrong.
        TooBroadError: Too much had to be looked through.
        StoreError: The database can't be reached.
    """
    async with open_database(current_settings()) as database:
        page = await LetterRepository(database).list(wanted, limit=limit, cursor=cursor)
        return page, await CauseRepository(database).unsettled()


def print_json(found: Page[DeadLetter]) -> None:
    """Print letters as one JSON object.

    Args:
        found: The page.
    """
    write_json(LetterListSchema.of(found).json_object())


def print_letters(found: Page[DeadLetter], unsettled: int) -> None:
    """Print letters as a list.

    Args:
        found: The page.
        unsettled: How many letters of all are to be looked at.
    """
    console = make_console()
    if not found.rows:
        _print_empty(console, unsettled)
        return
    now, wide = datetime.now(UTC), console.width >= WIDE
    print_lines(console, _WIDE if wide else _NARROW, [_line(letter, now, wide=wide) for letter in found.rows])
    print_next(console, found.next)
    console.print(Text("\nLook at one:  jobtrail deadletters show LETTER", style=QUIET))


def _print_empty(console: Console, unsettled: int) -> None:
    if unsettled:
        console.print("There is no such dead letter.")
        console.print(Text(f"  All that are to be looked at ({unsettled:,}):  jobtrail deadletters list", style=QUIET))
    else:
        console.print(Text.assemble(word_text("resolved"), ": no dead letter is to be looked at."))
        console.print(Text("  Those that are settled:          jobtrail deadletters list --state any", style=QUIET))
        console.print(Text("  Does anything capture them?      jobtrail doctor", style=QUIET))


def state_text(state: LetterState) -> Text:
    """Make the sign and the word of a letter's state.

    Args:
        state: The state.

    Returns:
        The coloured text.
    """
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

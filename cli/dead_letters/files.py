"""Writes dead letters to a file as JSON Lines, and reads them back."""

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryFile
from typing import IO, TextIO

from jobtrail.cli.access.audit_log_note import note
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.dead_letters.chosen import count_chosen
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.deadletters.archive import export_line, read_lines
from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterState
from jobtrail.models.errors import SettingError
from jobtrail.store.dead_letters.dead_letters import LetterRepository

STANDARD = "-"
"""The name of a file that is stdin or stdout."""
_TOGETHER = 500


async def export(selection: LetterFilter, states: Sequence[LetterState] | None, output: str, *, words: str) -> int:
    """Write letters to a file.

    Args:
        selection: Which letters.
        states: Only letters in these states; None for any.
        output: The file; `-` for stdout.
        words: How they were chosen, for the record.

    Returns:
        How many were written.

    Raises:
        NotFoundError: There is no such letter.
        SettingError: The file can't be written, or a setting is wrong.
        StoreError: The database can't be reached.
    """
    count = 0
    async with open_database(current_settings()) as database:
        total = await count_chosen(database, selection, states)
        with _written(output) as file, ProgressTeller("Exporting letters") as teller:
            teller.total = total
            async for letters in LetterRepository(database).stream(replace(selection, states=states)):
                file.writelines(f"{export_line(letter)}\n" for letter in letters)
                count += len(letters)
                teller.note(count)
        await note(database, "letters.export", target=words, details={"letters": str(count), "to": output})
    return count


async def import_(source: str) -> tuple[int, int]:
    """Read letters from a file, all of them or, where one line is wrong, none.

    Args:
        source: The file; `-` for stdin.

    Returns:
        How many are new, and how many there were already.

    Raises:
        SettingError: The file can't be read, a line is no letter, or a setting is wrong.
        StoreError: The database can't be reached; what was read by then is recognised when it comes again.
    """
    with _read(source) as file:
        with ProgressTeller("Checking letters") as teller:
            total = 0
            for _letter in read_lines(file):
                total += 1
                teller.note(total)
        file.seek(0)
        new = done = 0
        async with open_database(current_settings()) as database:
            await database.ensure_indexes()  # a letter's key is unique by its index
            letters = read_lines(file)
            with ProgressTeller("Importing letters") as teller:
                teller.total = total
                while some := list(islice(letters, _TOGETHER)):
                    new += await LetterRepository(database).insert(some)
                    done += len(some)
                    teller.note(done)
            details = {"new": str(new), "known": str(done - new)}
            await note(database, "letters.import", target=source, details=details)
    return new, done - new


@contextmanager
def _written(output: str) -> Iterator[IO[str]]:
    """Open a file that only its owner may read, as letters hold secrets; it is there when it is whole."""
    if output == STANDARD:
        yield sys.stdout
        sys.stdout.flush()
        return
    path = Path(output)
    try:
        if path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as device:
                yield device
            return
        # It is made with mode 0600.
        with NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.absolute().parent, prefix=f".{path.name}.", delete=False
        ) as file:
            try:
                yield file.file
            except BaseException:
                Path(file.name).unlink()
                raise
        Path(file.name).replace(path)
    except OSError as error:
        raise SettingError(f"{output} can't be written: {error.strerror or error}") from error


@contextmanager
def _read(source: str) -> Iterator[TextIO]:
    """Open a file that can be read twice; stdin is kept in a file without a name meanwhile."""
    try:
        if source == STANDARD:
            with TemporaryFile("w+", encoding="utf-8", newline="") as file:
                shutil.copyfileobj(sys.stdin, file)
                file.seek(0)
                yield file
        else:
            with Path(source).open(encoding="utf-8") as file:
                yield file
    except OSError as error:
        raise SettingError(f"{source} can't be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingError(f"{source} is no text in UTF-8") from error

"""Discards dead letters, and takes them back."""

from jobtrail.cli.access.audit_log_note import note
from jobtrail.cli.context import current_settings, open_database
from jobtrail.cli.output.progress import ProgressTeller
from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.operations.dead_letter_acts import discard_letters, restore_letters


async def discard(selection: LetterFilter, *, words: str, reason: str) -> int:
    """Put letters into the archive.

    Args:
        selection: Which letters.
        words: How they were chosen, for the record.
        reason: Why.

    Returns:
        How many.

    Raises:
        BusyError: A replay has some of them in its hands.
        SettingError: The reason is blank, or a setting is wrong.
        StoreError: The database can't be reached.
    """
    async with open_database(current_settings()) as database:
        with ProgressTeller("Discarding letters") as teller:
            count = await discard_letters(database, selection, reason, teller.note)
        await note(database, "letters.discard", target=words, details={"letters": str(count), "reason": reason[:200]})
        return count


async def restore(selection: LetterFilter, *, words: str) -> int:
    """Take letters out of the archive.

    Args:
        selection: Which letters.
        words: How they were chosen, for the record.

    Returns:
        How many are open again.

    Raises:
        SettingError: A setting is wrong.
        StoreError: The database can't be reached.
    """
    async with open_database(current_settings()) as database:
        with ProgressTeller("Restoring letters") as teller:
            count = await restore_letters(database, selection, teller.note)
        await note(database, "letters.restore", target=words, details={"letters": str(count)})
        return count

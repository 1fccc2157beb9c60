"""Dead letters of messages that a service of ours refuses, stored without any queue in between."""

from collections.abc import Iterator, Sequence

from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.errors import DecodeError, OwnershipLostError
from jobtrail.store.database import Database
from jobtrail.store.dead_letters.dead_letters import new_letters, write_letters
from jobtrail.store.dead_letters.returns import note_returns
from jobtrail.store.refusals import refusals

_TOGETHER = 500
_TOGETHER_BYTES = 8 * 1024 * 1024
"""What one transaction writes at the most, but for a single larger letter."""
_TRIES = 5


async def write_refused(database: Database, letters: Sequence[DeadLetter], session: AsyncClientSession) -> int:
    """Store letters in a transaction that is about more, such as how far a stream has been read.

    Args:
        database: The trail's database.
        letters: The letters, as `refused_letter` makes them; those that are known by their key are passed over.
        session: The transaction's session.

    Returns:
        How many were new.
    """
    new = await new_letters(database, letters, session)
    await write_letters(database, new, session)
    await note_returns(database, new, session)
    return len(new)


async def store_refused(database: Database, letters: Sequence[DeadLetter]) -> Sequence[tuple[DeadLetter, str]]:
    """Store letters for themselves; one that the database never takes does not keep the others back.

    Args:
        database: The trail's database.
        letters: As above. It may be called again with the same ones, where each has a key.

    Returns:
        Those that can't be stored, whatever one tries, each with the database's words.

    Raises:
        StoreError: The database can't be reached, or gave up; some may be stored.
    """
    refused: list[tuple[DeadLetter, str]] = []
    for some in _parted(letters):
        refused += await _store(database, some)
    return refused


async def _store(database: Database, letters: Sequence[DeadLetter]) -> Sequence[tuple[DeadLetter, str]]:
    """Store some letters together; where the database refuses them, each half for itself, and so on."""
    try:
        await _transact(database, letters)
        return ()
    except DecodeError as error:
        if len(letters) == 1:
            return [(letters[0], error.detail)]
    middle = len(letters) // 2
    return [*await _store(database, letters[:middle]), *await _store(database, letters[middle:])]


async def _transact(database: Database, letters: Sequence[DeadLetter]) -> None:
    async def work(session: AsyncClientSession) -> None:
        with refusals():
            await write_refused(database, letters, session)

    for left in reversed(range(_TRIES)):
        try:
            await database.transact(work)
            return
        except OwnershipLostError:  # another process has stored an equal letter just now: it is found the next time
            if not left:
                raise


def _parted(letters: Sequence[DeadLetter]) -> Iterator[Sequence[DeadLetter]]:
    some: list[DeadLetter] = []
    size_bytes = 0
    for letter in letters:
        if some and (len(some) == _TOGETHER or size_bytes + letter.size_bytes > _TOGETHER_BYTES):
            yield some
            some, size_bytes = [], 0
        some.append(letter)
        size_bytes += letter.size_bytes + len(letter.properties)
    if some:
        yield some

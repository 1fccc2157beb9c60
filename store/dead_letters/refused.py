"""Stores the dead letters of messages that our own services refuse, without a queue in between."""

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
"""Maximum of one transaction, except for a single larger dead letter."""
_TRIES = 5


async def write_refused(database: Database, letters: Sequence[DeadLetter], session: AsyncClientSession) -> int:
    """Store dead letters of `refused_letter` within a larger transaction; return how many are new by their key."""
    new = await new_letters(database, letters, session)
    await write_letters(database, new, session)
    await note_returns(database, new, session)
    return len(new)


async def store_refused(database: Database, letters: Sequence[DeadLetter]) -> Sequence[tuple[DeadLetter, str]]:
    """Store dead letters in transactions of their own; return those that the database refuses, with its words.

    May be called again with the same ones if each has a key.
    """
    refused: list[tuple[DeadLetter, str]] = []
    for some in _parted(letters):
        refused += await _store(database, some)
    return refused


async def _store(database: Database, letters: Sequence[DeadLetter]) -> Sequence[tuple[DeadLetter, str]]:
    """Store some together; if the database refuses them, each half on its own, and so on."""
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

"""Dead letters as they are listed, edited, discarded and restored."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import (
    CLOSED,
    ID_KEY,
    UNSETTLED,
    DeadLetter,
    Edit,
    LetterFilter,
    LetterState,
)
from jobtrail.models.errors import NotFoundError, TooLateError
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.dead_letters.bodies import LetterBodies
from jobtrail.store.dead_letters.causes import count_new
from jobtrail.store.dead_letters.documents import (
    FREE,
    WITHOUT_BYTES,
    edit_document,
    letter_document,
    letter_from,
    letter_query,
    object_id,
)
from jobtrail.store.dead_letters.moves import move_letters
from jobtrail.store.keyset import Page, SortOrder, read_page

_NEWEST_FIRST = SortOrder(field="_id", direction=-1)
_SEARCH_TIME_S = 5.0
_READ_TOGETHER = 500
_IMPORTED_TOGETHER = 500


class LetterRepository:
    """The dead letters, in the collection `dead_letters`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._letters = database.collection("dead_letters")
        self._bodies = LetterBodies(database)

    async def get(self, letter_id: str) -> DeadLetter:
        """Read one dead letter, bytes included.

        Raises:
            NotFoundError: It does not exist.
        """
        with translated():
            document = await self._letters.find_one({"_id": object_id(letter_id)})
            if document is None:
                raise NotFoundError(f"there is no dead letter {letter_id!r}")
            return letter_from(await self._bodies.put_back(document))

    async def list(self, wanted: LetterFilter, *, limit: int, cursor: str | None = None) -> Page[DeadLetter]:
        """Read one page, the newest first, without their bytes.

        Raises:
            TooBroadError: The search took longer than `_SEARCH_TIME_S`.
        """
        # With all states named, an index gives them in order, whichever are wanted.
        query = letter_query(wanted if wanted.states else replace(wanted, states=tuple(LetterState)))
        page = await read_page(
            self._letters,
            query,
            _NEWEST_FIRST,
            limit=limit,
            cursor=cursor,
            stages=[{"$project": WITHOUT_BYTES}],
            time_limit_s=_SEARCH_TIME_S,
        )
        return Page(rows=[letter_from(document) for document in page.rows], next=page.next)

    async def stream(self, wanted: LetterFilter) -> AsyncIterator[Sequence[DeadLetter]]:
        """Read dead letters in chunks, bytes included, the oldest first."""
        waiting: list[DeadLetter] = []
        size_bytes = 0
        with translated():
            async for document in self._letters.find(letter_query(wanted)).sort("_id", 1):
                waiting.append(letter_from(await self._bodies.put_back(document)))
                size_bytes += waiting[-1].size_bytes
                if len(waiting) >= _READ_TOGETHER or size_bytes > 16 * 1024 * 1024:
                    yield waiting
                    waiting, size_bytes = [], 0
        if waiting:
            yield waiting

    async def count(self, wanted: LetterFilter) -> int:
        """Count dead letters."""
        with translated():
            return await self._letters.count_documents(letter_query(wanted))

    async def edit(self, letter_id: str, edit: Edit | None) -> DeadLetter:
        """Change what a replay will send; None restores the dead letter's own bytes.

        Raises:
            NotFoundError: It does not exist.
            TooLateError: It is closed, held by a replay, or was sent.
        """
        change: Document = {"$unset": {"edit": ""}} if edit is None else {"$set": {"edit": edit_document(edit)}}
        unsettled = {"$in": [state.value for state in UNSETTLED]}
        with translated():
            query: Document = {"_id": object_id(letter_id), "state": unsettled} | FREE
            done = await self._letters.update_one(query, change)
        letter = await self.get(letter_id)
        if not done.matched_count:
            raise TooLateError(f"dead letter {letter_id} is {letter.state.value}: it can't be edited any more")
        return letter

    async def discard(self, wanted: LetterFilter, reason: str) -> int:
        """Archive up to `MAX_MOVED` open dead letters; call it again until it returns fewer."""
        return await self._move(wanted, UNSETTLED, LetterState.DISCARDED, {"$set": {"note": reason}})

    async def restore(self, wanted: LetterFilter) -> int:
        """Reopen up to `MAX_MOVED` archived dead letters; call it again until it returns fewer."""
        return await self._move(wanted, (LetterState.DISCARDED,), LetterState.OPEN, {"$unset": {"note": ""}})

    async def insert(self, letters: Sequence[DeadLetter]) -> int:
        """Add imported dead letters; return how many are new by their key."""
        added = 0
        for at in range(0, len(letters), _IMPORTED_TOGETHER):
            some = letters[at : at + _IMPORTED_TOGETHER]
            added += await self._database.transact(lambda session, some=some: self._insert(some, session))  # type: ignore[misc]
        return added

    async def _insert(self, letters: Sequence[DeadLetter], session: AsyncClientSession) -> int:
        new = await new_letters(self._database, letters, session)
        await write_letters(self._database, new, session)
        return len(new)

    async def _move(
        self, wanted: LetterFilter, states: Sequence[LetterState], to: LetterState, change: Document
    ) -> int:
        query = letter_query(wanted.among(states))
        moved = await self._database.transact(
            lambda session: move_letters(self._database, session, query, to, change=change)
        )
        return len(moved)

    async def expire(self, before: datetime) -> int:
        """Remove dead letters that were closed before then, and leave an entry without bytes in the archive.

        Returns how many; call it again until it returns none.
        """
        return await self._database.transact(lambda session: self._expire(before, session))

    async def _expire(self, before: datetime, session: AsyncClientSession) -> int:
        closed: Document = {"state": {"$in": [state.value for state in CLOSED]}, "settled_at": {"$lt": before}}
        # None is closed before it is captured; so the index of states finds them.
        closed["_id"] = {"$lt": ObjectId.from_datetime(before)}
        found = self._letters.find(closed, session=session).sort("_id", 1).limit(500)
        documents: list[dict[str, Any]] = await found.to_list()
        if not documents:
            return 0
        ids: list[ObjectId] = [document["_id"] for document in documents]
        archive = self._database.collection("dead_letter_archive")
        gone = datetime.now(before.tzinfo)
        for document in documents:
            document.pop("body")
            document.pop("properties")
            document.get("edit", {}).pop("body", None)
            document.get("edit", {}).pop("properties", None)
            document["removed_at"] = gone
        await archive.insert_many(documents, session=session)
        await self._bodies.remove(ids, session)
        await self._letters.delete_many({"_id": {"$in": ids}}, session=session)
        for document in documents:
            await self._database.collection("dead_letter_causes").update_one(
                {"_id": document["cause_id"]}, {"$inc": {f"counts.{document['state']}": -1}}, session=session
            )
        return len(documents)


async def new_letters(
    database: Database, letters: Sequence[DeadLetter], session: AsyncClientSession
) -> Sequence[DeadLetter]:
    """Give ids to new dead letters; those whose key is known, or comes twice, are left out."""
    keys = [letter.key for letter in letters if letter.key is not None]
    known: set[str | None] = set()
    if keys:
        # A letter without a key was exported with its id for one: it may never have left this database.
        ids = [object_id(key.removeprefix(ID_KEY)) for key in keys if key.startswith(ID_KEY)]
        query: Document = {"$or": [{"key": {"$in": keys}}, {"_id": {"$in": ids}}]} if ids else {"key": {"$in": keys}}
        for name in ("dead_letters", "dead_letter_archive"):
            async for document in database.collection(name).find(query, {"key": 1}, session=session):
                known |= {document.get("key"), f"{ID_KEY}{document['_id']}"}  # type: ignore[arg-type]
    new = []
    for letter in letters:
        if letter.key is not None:
            if letter.key in known:
                continue
            known.add(letter.key)
        letter.id = str(ObjectId())
        new.append(letter)
    return new


async def write_letters(database: Database, letters: Sequence[DeadLetter], session: AsyncClientSession) -> None:
    """Write new dead letters, and count them in their groups."""
    if not letters:
        return
    bodies = LetterBodies(database)
    documents = [letter_document(letter) for letter in letters]
    if any(letter.size_bytes > 0 for letter in letters):
        documents = [await bodies.take_out(document, session) for document in documents]
    await database.collection("dead_letters").insert_many(documents, session=session)
    await count_new(database, letters, session)

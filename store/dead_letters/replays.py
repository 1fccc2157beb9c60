"""Replays, and the letters in their hands."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import UNSETTLED, LetterFilter
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.errors import BusyError, NotFoundError
from jobtrail.store.database import Document, translated
from jobtrail.store.dead_letters.documents import letter_query, replay_document, replay_from
from jobtrail.store.dead_letters.replayed import UNDER_WAY, ReplayLetters
from jobtrail.store.keyset import Page, SortOrder, read_page
from jobtrail.store.leases.lease import new_holder

_NEWEST_FIRST = SortOrder(field="asked_at", direction=-1)
_WITHOUT_HELD = {"held": 0}
"""The projection for one that is asked for often: the ids of the letters that it holds may be 2,000."""


class ReplayRepository(ReplayLetters):
    """The replays, in the collection `replays`, and their letters.

    Args:
        database: The trail's database.
        writer: As in `ReplayLetters`.
    """

    async def start(self, asked: Replay) -> Replay:
        """Put a replay on record, unless another one that is under way has letters of its selection.

        Args:
            asked: The replay; its total is counted here.

        Returns:
            The replay as it was put on record.

        Raises:
            NotFoundError: No letter of the selection can be replayed.
            BusyError: Another replay has some of them in its hands.
            StoreError: The database can't be reached.
        """
        return await self._transact(lambda session: self._start(asked, session))

    async def _start(self, asked: Replay, session: AsyncClientSession) -> Replay:
        # Of two that start at the same time one has to try again, and then sees the other.
        await self._database.leases.update_one(
            {"_id": "start of replays"}, {"$set": {"holder": asked.id}}, upsert=True, session=session
        )
        await self.refuse_overlap(asked.selection, session)
        query = letter_query(asked.selection.among(UNSETTLED))
        total = await self._letters.count_documents(query, session=session)
        if not total:
            raise NotFoundError(
                "no letter of this selection can be replayed: there is none, or they are closed, or may be repetitions"
            )
        recorded = replace(asked, total=total)
        await self._replays.insert_one(replay_document(recorded), session=session)
        return recorded

    async def refuse_overlap(self, selection: LetterFilter, session: AsyncClientSession | None = None) -> None:
        """Make sure that no replay under way is about letters of a selection.

        Args:
            selection: The letters.
            session: A transaction's session.

        Raises:
            BusyError: There is one; the message names it and who asked for it.
            StoreError: The database can't be reached.
        """
        wanted = letter_query(replace(selection, states=None))
        with translated():
            async for document in self._replays.find({"state": UNDER_WAY}, session=session):
                other = replay_from(document)
                theirs = letter_query(replace(other.selection, states=None))
                states = {"$in": [state.value for state in UNSETTLED]}  # those that it holds are among them
                common = {"$and": [wanted, theirs, {"state": states}]}
                if await self._letters.find_one(common, {"_id": 1}, session=session) is not None:
                    raise BusyError(
                        f"letters of this selection are in the hands of replay {other.id}, which {other.who} asked for "
                        f"at {other.asked_at:%Y-%m-%d %H:%M:%S} UTC; wait for its end, or cancel it"
                    )

    async def get(self, replay_id: str) -> Replay:
        """Read one replay.

        Args:
            replay_id: Its id.

        Returns:
            The replay.

        Raises:
            NotFoundError: There is none.
            StoreError: The database can't be reached.
        """
        with translated():
            document = await self._replays.find_one({"_id": replay_id}, _WITHOUT_HELD)
        if document is None:
            raise NotFoundError(f"there is no replay {replay_id!r}")
        return replay_from(document)

    async def list(self, *, limit: int, cursor: str | None = None) -> Page[Replay]:
        """Read one page of replays, the newest first.

        Args:
            limit: Replays per page.
            cursor: The `next` of the page before.

        Returns:
            The page.

        Raises:
            SettingError: The cursor is none of ours.
            StoreError: The database can't be reached.
        """
        page = await read_page(self._replays, {}, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=[replay_from(document) for document in page.rows], next=page.next)

    async def under_way(self) -> Sequence[Replay]:
        """Read the replays that are not at their end, the oldest first.

        Returns:
            The replays.

        Raises:
            StoreError: The database can't be reached.
        """
        with translated():
            found = self._replays.find({"state": UNDER_WAY}).sort("asked_at", 1)
            return [replay_from(document) async for document in found]

    async def ask_to_cancel(self, replay_id: str) -> Replay:
        """Ask a replay to stop before its next batch.

        Args:
            replay_id: The replay.

        Returns:
            It, as it was then.

        Raises:
            NotFoundError: There is no such replay.
            StoreError: The database can't be reached.
        """
        with translated():
            await self._replays.update_one({"_id": replay_id, "state": UNDER_WAY}, {"$set": {"cancel": True}})
        return await self.get(replay_id)

    async def tell(self, replay_id: str, state: ReplayState, detail: str = "") -> None:
        """Note how far a replay is, unless it is at its end.

        Args:
            replay_id: The replay.
            state: Its state; no end (`end`).
            detail: What it waits for.

        Raises:
            StoreError: The database can't be reached.
        """
        change: Document = {"state": state.value, "detail": detail}
        with translated():
            await self._replays.update_one({"_id": replay_id, "state": UNDER_WAY}, {"$set": change})

    async def begin(self, replay_id: str) -> str:
        """Note that a process runs a replay from now on.

        Args:
            replay_id: The replay.

        Returns:
            The process's mark, by which `end` knows that no other one has begun since.

        Raises:
            StoreError: The database can't be reached.
        """
        runner = new_holder()
        change: Document = {"state": ReplayState.RUNNING.value, "detail": "", "runner": runner}
        with translated():
            await self._replays.update_one({"_id": replay_id, "state": UNDER_WAY}, {"$set": change})
        return runner

    async def end(self, replay_id: str, runner: str, state: ReplayState, detail: str) -> None:
        """End a replay, and let go of the letters that it holds.

        Args:
            replay_id: The replay.
            runner: The mark of the process that runs it.
            state: How it ended.
            detail: Why.

        Raises:
            BusyError: Another process has begun to run it since: it may be sending what it holds.
            StoreError: The database can't be reached.
        """
        change: Document = {"state": state.value, "detail": detail, "ended_at": datetime.now(UTC)}

        async def end(session: AsyncClientSession) -> None:
            mine: Document = {"_id": replay_id, "state": UNDER_WAY, "runner": runner}
            held = await self._held_by(replay_id, session)
            gone = {"runner": "", "held": ""}
            done = await self._replays.update_one(mine, {"$set": change, "$unset": gone}, session=session)
            if not done.matched_count:
                raise BusyError(f"the replay {replay_id} is run by another process")
            await self._letters.update_many(held, {"$unset": {"held_by": ""}}, session=session)
            await self._database.leases.delete_one({"_id": writer_of(replay_id)}, session=session)

        await self._transact(end)


def writer_of(replay_id: str) -> str:
    """Name what the runner of a replay is the sole writer of."""
    return f"replay {replay_id}"

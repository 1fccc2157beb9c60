"""Replays, and the dead letters that they hold."""

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
"""The projection for frequent reads: a replay may hold 2,000 ids."""


class ReplayRepository(ReplayLetters):
    """The replays, in the collection `replays`, and their dead letters."""

    async def start(self, asked: Replay) -> Replay:
        """Record a replay with its total.

        Raises:
            NotFoundError: The selection has no open dead letter.
            BusyError: Another replay holds some of them.
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
                "this selection has no dead letter to replay: none match, or all are closed or possible repetitions"
            )
        recorded = replace(asked, total=total)
        await self._replays.insert_one(replay_document(recorded), session=session)
        return recorded

    async def refuse_overlap(self, selection: LetterFilter, session: AsyncClientSession | None = None) -> None:
        """Refuse a selection that overlaps with a running replay.

        Raises:
            BusyError: It does; the error names the replay and who requested it.
        """
        other = await self.holder_of(selection, session)
        if other is not None:
            raise BusyError(
                f"dead letters of this selection are held by replay {other.id}, which {other.who} requested at "
                f"{other.asked_at:%Y-%m-%d %H:%M:%S} UTC; wait for its end, or cancel it"
            )

    async def holder_of(self, selection: LetterFilter, session: AsyncClientSession | None = None) -> Replay | None:
        """Find a running replay that overlaps with a selection."""
        wanted = letter_query(replace(selection, states=None))
        with translated():
            async for document in self._replays.find({"state": UNDER_WAY}, session=session):
                other = replay_from(document)
                theirs = letter_query(replace(other.selection, states=None))
                states = {"$in": [state.value for state in UNSETTLED]}  # those that it holds are among them
                common = {"$and": [wanted, theirs, {"state": states}]}
                if await self._letters.find_one(common, {"_id": 1}, session=session) is not None:
                    return other
        return None

    async def get(self, replay_id: str) -> Replay:
        """Read one replay.

        Raises:
            NotFoundError: It does not exist.
        """
        with translated():
            document = await self._replays.find_one({"_id": replay_id}, _WITHOUT_HELD)
        if document is None:
            raise NotFoundError(f"there is no replay {replay_id!r}")
        return replay_from(document)

    async def list(self, *, limit: int, cursor: str | None = None) -> Page[Replay]:
        """Read one page of replays, the newest first."""
        page = await read_page(self._replays, {}, _NEWEST_FIRST, limit=limit, cursor=cursor)
        return Page(rows=[replay_from(document) for document in page.rows], next=page.next)

    async def under_way(self) -> Sequence[Replay]:
        """Read the running replays, the oldest first."""
        with translated():
            found = self._replays.find({"state": UNDER_WAY}).sort("asked_at", 1)
            return [replay_from(document) async for document in found]

    async def ask_to_cancel(self, replay_id: str) -> Replay:
        """Request that a replay stops before its next batch; return it as it was then.

        Raises:
            NotFoundError: It does not exist.
        """
        with translated():
            await self._replays.update_one({"_id": replay_id, "state": UNDER_WAY}, {"$set": {"cancel": True}})
        return await self.get(replay_id)

    async def tell(self, replay_id: str, state: ReplayState, detail: str = "") -> None:
        """Record what a running replay does or waits for."""
        change: Document = {"state": state.value, "detail": detail}
        with translated():
            await self._replays.update_one({"_id": replay_id, "state": UNDER_WAY}, {"$set": change})

    async def begin(self, replay_id: str) -> str:
        """Record that this process runs a replay; return its mark, by which `end` recognizes a later one."""
        runner = new_holder()
        change: Document = {"state": ReplayState.RUNNING.value, "detail": "", "runner": runner}
        with translated():
            await self._replays.update_one({"_id": replay_id, "state": UNDER_WAY}, {"$set": change})
        return runner

    async def end(self, replay_id: str, runner: str, state: ReplayState, detail: str) -> None:
        """End a replay, and release what it holds.

        Raises:
            BusyError: Another process has taken the replay over.
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
    """Name the fence of a replay's runner."""
    return f"replay {replay_id}"

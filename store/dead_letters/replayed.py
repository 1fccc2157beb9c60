"""The dead letters of replays: claimed batch by batch, sent, and settled when their outcome is known."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterState, Sending
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.models.errors import BusyError
from jobtrail.store.database import Database, Document, translated
from jobtrail.store.dead_letters.bodies import LetterBodies
from jobtrail.store.dead_letters.documents import FREE, WITHOUT_BYTES, letter_from, letter_query, object_id
from jobtrail.store.dead_letters.moves import move_letters, move_sent
from jobtrail.store.leases.fenced_writer import FencedWriter

T = TypeVar("T")

TOGETHER_BYTES = 16 * 1024 * 1024
"""Bytes of bodies that a process holds at once, except for a single larger one."""
UNDER_WAY = {"$in": [state.value for state in ReplayState if not state.is_end]}
"""The condition of a replay's state."""
_AWAITED = {"$in": [LetterState.REPLAYED.value, LetterState.UNKNOWN.value]}


class Transact(Protocol):
    """Runs work in one transaction."""

    def __call__(self, work: Callable[[AsyncClientSession], Awaitable[T]], /) -> Awaitable[T]:
        """Run it; see `Database.transact`."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Settlement:
    """The outcome of a dead letter that was sent."""

    letter_id: str
    replay_id: str
    outcome: LetterState
    detail: str


class ReplayLetters:
    """The dead letters that replays send. Whoever runs one writes through `writer`, which fences a predecessor off."""

    def __init__(self, database: Database, writer: FencedWriter | None = None) -> None:
        self._database = database
        self._transact: Transact = writer.transact if writer else database.transact
        self._letters = database.collection("dead_letters")
        self._replays = database.collection("replays")
        self._bodies = LetterBodies(database)

    async def claim(self, replay: Replay, count: int, runner: str | None = None) -> Sequence[DeadLetter]:
        """Claim the next dead letters of a replay, and read all that it holds."""
        await self.claim_more(replay, count, runner)
        return await self.held(replay.id)

    async def claim_more(self, replay: Replay, count: int, runner: str | None = None) -> None:
        """Claim the next `count` dead letters of a replay for the process with the mark `runner`.

        Raises:
            BusyError: The replay has ended, or another process runs it.
        """
        query = letter_query(replay.selection.among(UNSETTLED))
        # What it has ever sent and never heard of again is not for this replay to send once more.
        query["sendings.replay_id"] = query["sent_by"] = {"$ne": replay.id}
        mine: Document = {"_id": replay.id, "state": UNDER_WAY}
        if runner is not None:
            mine["runner"] = runner

        async def claim(session: AsyncClientSession) -> None:
            found = self._letters.find(query, {"_id": 1}, session=session).sort("_id", 1).limit(count)
            ids = [document["_id"] async for document in found]
            # Of a claim and an end at the same time one fails, as both write here: nothing stays held for good.
            done = await self._replays.update_one(mine, {"$push": {"held": {"$each": ids}}}, session=session)
            if not done.matched_count:
                raise BusyError(f"the replay {replay.id} has ended, or is run by another process")
            await self._letters.update_many({"_id": {"$in": ids}}, {"$set": {"held_by": replay.id}}, session=session)

        await self._transact(claim)

    async def held(self, replay_id: str, *, after: str | None = None) -> Sequence[DeadLetter]:
        """Read what a replay holds and has not recorded as sent: the oldest first, up to `TOGETHER_BYTES`."""
        letters: list[DeadLetter] = []
        size_bytes = 0
        with translated():
            query = await self._held_by(replay_id)
            if after is not None:
                query = {"$and": [query, {"_id": {"$gt": object_id(after)}}]}
            async for document in self._letters.find(query).sort("_id", 1):
                size_bytes += max(document["size_bytes"], len(document.get("edit", {}).get("body", b"")))  # type: ignore[call-overload,attr-defined]
                if letters and size_bytes > TOGETHER_BYTES:
                    break
                letters.append(letter_from(await self._bodies.put_back(document)))
        return letters

    async def all_held(self, replay_id: str) -> Sequence[DeadLetter]:
        """Read all that a replay holds, the oldest first, without their bytes."""
        with translated():
            found = self._letters.find(await self._held_by(replay_id), WITHOUT_BYTES).sort("_id", 1)
            return [letter_from(document) async for document in found]

    async def note_attempts(self, letters: Collection[DeadLetter]) -> None:
        """Record how many attempts the jobs have had before the replay adds one."""
        changes = [
            UpdateOne({"_id": object_id(letter.id)}, {"$set": {"attempts_before": letter.attempts_before}})
            for letter in letters
        ]
        with translated():
            await self._letters.bulk_write(changes, ordered=False)

    async def note_sent(self, replay_id: str, sendings: Mapping[str, Sending]) -> None:
        """Record that held dead letters were sent."""
        if sendings:
            await self._transact(lambda session: self._note_sent(replay_id, sendings, session))

    async def _note_sent(self, replay_id: str, sendings: Mapping[str, Sending], session: AsyncClientSession) -> None:
        await move_sent(self._database, session, replay_id, sendings)
        left = [each for each in await self._held_ids(replay_id, session) if str(each) not in sendings]
        await self._replays.update_one({"_id": replay_id}, {"$set": {"held": left}}, session=session)

    async def awaited(
        self,
        *,
        limit: int,
        replay_id: str | None = None,
        after: str | None = None,
        state: LetterState = LetterState.REPLAYED,
    ) -> Sequence[DeadLetter]:
        """Read dead letters in `state`, the oldest first, without their bytes: those that await an outcome."""
        query: Document = {"state": state.value} | FREE
        if replay_id is not None:
            query["replay_id"] = replay_id
        if after is not None:
            query["_id"] = {"$gt": object_id(after)}
        with translated():
            found = self._letters.find(query, {"body": 0, "edit.body": 0}).sort("_id", 1).limit(limit)
            return [letter_from(document) async for document in found]

    async def settle(self, settlements: Collection[Settlement]) -> None:
        """Record outcomes; the first outcome of a dead letter counts."""
        alike: dict[tuple[LetterState, str], dict[Any, Settlement]] = {}
        for settlement in settlements:
            some = alike.setdefault((settlement.outcome, settlement.replay_id), {})
            some[object_id(settlement.letter_id)] = settlement
        for (outcome, replay_id), some in alike.items():
            await self._transact(
                lambda session, outcome=outcome, replay_id=replay_id, some=some: self._settle(  # type: ignore[misc]
                    outcome, replay_id, some, session
                )
            )

    async def _settle(
        self, outcome: LetterState, replay_id: str, settlements: Mapping[Any, Settlement], session: AsyncClientSession
    ) -> None:
        # Another replay may have sent a letter since; what it comes to is another question.
        query: Document = {"_id": {"$in": list(settlements)}, "state": _AWAITED, "replay_id": replay_id} | FREE
        moved = await move_letters(self._database, session, query, outcome, limit=len(settlements))
        now = datetime.now(UTC)
        changes = [
            UpdateOne(
                {"_id": letter},
                {
                    "$set": {
                        "sendings.$[sent].outcome": outcome.value,
                        "sendings.$[sent].detail": settlements[letter].detail,
                        "sendings.$[sent].outcome_at": now,
                    }
                },
                array_filters=[{"sent.replay_id": replay_id}],
            )
            for letter in moved
        ]
        if changes:
            await self._letters.bulk_write(changes, ordered=False, session=session)

    async def _held_by(self, replay_id: str, session: AsyncClientSession | None = None) -> Document:
        """Make the query for what a replay holds: among the ids that it keeps."""
        return {"_id": {"$in": await self._held_ids(replay_id, session)}, "held_by": replay_id}

    async def _held_ids(self, replay_id: str, session: AsyncClientSession | None) -> Sequence[ObjectId]:
        replay: Mapping[str, Any] | None = await self._replays.find_one(
            {"_id": replay_id}, {"held": 1}, session=session
        )
        return replay.get("held", ()) if replay else ()

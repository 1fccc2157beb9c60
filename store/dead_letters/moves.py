"""Moves dead letters between states, and counts them in their groups and replays, in one transaction.

The counts are kept because counting a million dead letters takes a second, and the pages of groups must open at once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import CLOSED, LetterState, Sending
from jobtrail.store.database import Database, Document
from jobtrail.store.dead_letters.documents import object_id, sending_document

MAX_MOVED = 1000
"""Maximum of one transaction."""
_COUNTED_BY_REPLAYS = (LetterState.REPLAYED, LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.UNKNOWN)


async def move_letters(
    database: Database,
    session: AsyncClientSession,
    query: Document,
    to: LetterState,
    *,
    change: Mapping[str, object] | None = None,
    limit: int = MAX_MOVED,
) -> Sequence[Any]:
    """Move up to `limit` dead letters to a state, the oldest first, and return their ids.

    The query must name the states they may come from, and exclude held ones. `change` is an update with operators.
    """
    letters = database.collection("dead_letters")
    found = letters.find(query, {"cause_id": 1, "state": 1, "replay_id": 1}, session=session).sort("_id", 1)
    documents: Sequence[Mapping[str, Any]] = await found.limit(limit).to_list()
    if not documents:
        return ()
    ids = [document["_id"] for document in documents]
    update = {operator: dict(fields) for operator, fields in (change or {}).items()}  # type: ignore[call-overload]
    update.setdefault("$set", {})["state"] = to.value
    if to in CLOSED:
        update["$set"]["settled_at"] = datetime.now(UTC)
    else:
        update.setdefault("$unset", {})["settled_at"] = ""
    await letters.update_many({"_id": {"$in": ids}}, update, session=session)
    await _count_in_groups(database, session, documents, to)
    await _count_in_replays(database, session, documents, to, update["$set"].get("replay_id"))
    return ids


async def move_sent(
    database: Database, session: AsyncClientSession, replay_id: str, sendings: Mapping[str, Sending]
) -> None:
    """Move dead letters that a replay holds and has sent; those that it no longer holds stay."""
    alike: dict[Sending, list[ObjectId]] = {}
    for letter_id, sending in sendings.items():
        alike.setdefault(sending, []).append(object_id(letter_id))
    # Most letters of a batch go to the same queue, and one update of many is much quicker than many of one.
    for sending, ids in alike.items():
        query: Document = {"_id": {"$in": ids}, "held_by": replay_id}
        change = {
            "$set": {"replay_id": replay_id},
            "$unset": {"held_by": ""},
            "$push": {"sendings": sending_document(sending)},
        }
        await move_letters(database, session, query, LetterState.REPLAYED, change=change, limit=len(ids))


async def _count_in_groups(
    database: Database, session: AsyncClientSession, documents: Sequence[Mapping[str, Any]], to: LetterState
) -> None:
    moved = Counter((document["cause_id"], document["state"]) for document in documents)
    changes = [
        UpdateOne({"_id": cause_id}, {"$inc": {f"counts.{state}": -count, f"counts.{to.value}": count}})
        for (cause_id, state), count in moved.items()
        if state != to.value
    ]
    if changes:
        await database.collection("dead_letter_causes").bulk_write(changes, session=session)


async def _count_in_replays(
    database: Database,
    session: AsyncClientSession,
    documents: Sequence[Mapping[str, Any]],
    to: LetterState,
    replay_id: str | None,
) -> None:
    """Count the outcomes of a replay."""
    if to not in _COUNTED_BY_REPLAYS:
        return
    moved = Counter((replay_id or document.get("replay_id"), document["state"]) for document in documents)
    changes = []
    for (replay, state), count in moved.items():
        if state == to.value:
            continue
        counts = {f"counts.{to.value}": count}
        if to is LetterState.REPLAYED:
            counts["sent"] = count  # what it was before, it was in another replay's hands
        elif state in _COUNTED_BY_REPLAYS:
            counts[f"counts.{state}"] = -count
        changes.append(UpdateOne({"_id": replay}, {"$inc": counts}))
    if changes:
        await database.collection("replays").bulk_write(changes, session=session)

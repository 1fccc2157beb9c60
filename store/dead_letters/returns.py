"""Replayed dead letters that came back as new ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterState, Sending
from jobtrail.store.database import Database, Document
from jobtrail.store.dead_letters.documents import object_id
from jobtrail.store.dead_letters.moves import move_letters, move_sent

CAN_FAIL_AGAIN = (LetterState.REPLAYED.value, LetterState.UNKNOWN.value)
_FIELDS = {"state": 1, "held_by": 1, "replay_id": 1, "sendings": 1, "origin": 1, "attempts_before": 1}


@dataclass(slots=True, frozen=True)
class _Return:
    """A dead letter that came back."""

    parent: Mapping[str, Any]
    child: DeadLetter

    @property
    def sending(self) -> Mapping[str, Any] | None:
        """The record of the sending that failed; None if there is none yet."""
        sendings = self.parent.get("sendings", ())
        return next((each for each in sendings if each["replay_id"] == self.child.sent_by), None)

    @property
    def is_in_its_hands(self) -> bool:
        """Whether no other replay has taken it since."""
        has_it = self.parent.get("held_by") or self.parent.get("replay_id")
        return has_it is not None and has_it == self.child.sent_by

    @property
    def is_early(self) -> bool:
        """Whether it is back before its replay recorded the sending."""
        return self.is_in_its_hands and "held_by" in self.parent


async def note_returns(database: Database, children: Sequence[DeadLetter], session: AsyncClientSession) -> None:
    """Record which new dead letters are returns of replayed ones; the end of their job may be known already."""
    children = [child for child in children if child.parent is not None]
    if not children:
        return
    letters = database.collection("dead_letters")
    ids = [object_id(child.parent or "") for child in children]
    found = letters.find({"_id": {"$in": ids}}, _FIELDS, session=session)
    parents = {str(document["_id"]): document async for document in found}
    returns = [_Return(parents[child.parent], child) for child in children if child.parent in parents]
    early = [each for each in returns if each.is_early]
    await _note_sent(database, early, session)
    failed = [
        each for each in returns if each.is_early or (each.is_in_its_hands and each.parent["state"] in CAN_FAIL_AGAIN)
    ]
    query: Document = {"_id": {"$in": [each.parent["_id"] for each in failed]}, "state": {"$in": [*CAN_FAIL_AGAIN]}}
    await move_letters(database, session, query, LetterState.FAILED_AGAIN, limit=len(failed) or 1)
    await _count_late(database, [each for each in returns if each not in failed], session)
    changes = [_outcome(each) for each in returns if each in early or each.sending is not None]
    if changes:
        await letters.bulk_write(changes, session=session)


async def _note_sent(database: Database, returns: Sequence[_Return], session: AsyncClientSession) -> None:
    """Record sendings on behalf of their replays."""
    now = datetime.now(UTC)
    for replay_id in {str(each.child.sent_by) for each in returns}:
        replay: Mapping[str, Any] | None = await database.collection("replays").find_one(
            {"_id": replay_id}, {"target": 1}, session=session
        )
        target = replay["target"] if replay else None
        sendings = {
            str(each.parent["_id"]): Sending(
                replay_id=replay_id,
                at=now,
                target=target or each.parent["origin"],
                attempts=each.parent.get("attempts_before") or 0,
            )
            for each in returns
            if each.child.sent_by == replay_id
        }
        await move_sent(database, session, replay_id, sendings)


async def _count_late(database: Database, returns: Sequence[_Return], session: AsyncClientSession) -> None:
    """Count failures of replays that no longer hold the dead letter."""
    late = Counter(
        (each.child.sent_by, each.sending["outcome"])
        for each in returns
        if each.sending is not None and each.sending["outcome"] in CAN_FAIL_AGAIN
    )
    changes = [
        UpdateOne(
            {"_id": replay_id},
            {"$inc": {f"counts.{outcome}": -count, f"counts.{LetterState.FAILED_AGAIN.value}": count}},
        )
        for (replay_id, outcome), count in late.items()
    ]
    if changes:
        await database.collection("replays").bulk_write(changes, session=session)


def _outcome(each: _Return) -> UpdateOne:
    fields: dict[str, object] = {"sendings.$[sent].child": each.child.id}
    if each.sending is None or each.sending["outcome"] != LetterState.RESOLVED.value:
        fields["sendings.$[sent].outcome"] = LetterState.FAILED_AGAIN.value
        fields["sendings.$[sent].detail"] = each.child.error
        fields["sendings.$[sent].outcome_at"] = datetime.now(UTC)
    return UpdateOne(
        {"_id": each.parent["_id"]}, {"$set": fields}, array_filters=[{"sent.replay_id": each.child.sent_by}]
    )

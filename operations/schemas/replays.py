"""Replays."""

from typing import Self

from jobtrail.models.dead_letters.dead_letter import LetterState
from jobtrail.models.dead_letters.replay import Replay, ReplayState
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.keyset import Page


class ReplaySchema(Schema):
    """One replay."""

    id: str
    state: ReplayState
    detail: str
    total: int
    sent: int
    counts: dict[LetterState, int]
    target: str | None
    rate: float | None
    staged: bool
    cancelling: bool
    who: str
    origin: str
    asked_at: Timestamp
    ended_at: Timestamp | None

    @classmethod
    def of(cls, replay: Replay) -> Self:
        """Make it of a replay."""
        outcomes = (LetterState.REPLAYED, LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.UNKNOWN)
        return cls(
            id=replay.id,
            state=replay.state,
            detail=replay.detail,
            total=replay.total,
            sent=replay.sent,
            counts={state: replay.counts.get(state, 0) for state in outcomes},
            target=replay.target,
            rate=replay.rate,
            staged=replay.staged,
            cancelling=replay.cancel and not replay.state.is_end,
            who=replay.who,
            origin=replay.origin,
            asked_at=replay.asked_at,
            ended_at=replay.ended_at,
        )


class ReplayListSchema(Schema):
    """A page of replays."""

    replays: list[ReplaySchema]
    next: str | None

    @classmethod
    def of(cls, page: Page[Replay]) -> Self:
        """Make it of a page."""
        return cls(replays=[ReplaySchema.of(replay) for replay in page.rows], next=page.next)

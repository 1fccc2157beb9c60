"""Replays, and the conservation audit."""

from typing import Self

from deadletters.conservation import Audit, difference_words
from desk.schemas.base import Schema, Timestamp
from models.conservation import Balance
from models.letter import LetterState
from models.replay import Replay, ReplayState
from store.keyset import Page


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


class BalanceSchema(Schema):
    """What was taken from a queue within an hour, and what is found of it."""

    queue: str
    hour: Timestamp
    handed_out: int
    stored: int
    duplicates: int
    dead_lettered: int
    letters_waiting: int
    missing: int
    difference: str

    @classmethod
    def of(cls, balance: Balance) -> Self:
        """Make it of a balance."""
        tally = balance.tally
        return cls(
            queue=tally.queue,
            hour=tally.hour,
            handed_out=tally.handed_out,
            stored=tally.stored,
            duplicates=tally.duplicates,
            dead_lettered=tally.dead_lettered,
            letters_waiting=balance.waiting,
            missing=balance.missing,
            difference=difference_words(balance),
        )


class WaitingSchema(Schema):
    """What waits in a queue; null where that is not known."""

    queue: str
    waiting: int | None
    consumers: int | None


class AuditSchema(Schema):
    """What a conservation audit found."""

    since: Timestamp
    at: Timestamp
    missing: int
    balances: list[BalanceSchema]
    queues: list[WaitingSchema]

    @classmethod
    def of(cls, audit: Audit) -> Self:
        """Make it of an audit."""
        return cls(
            since=audit.since,
            at=audit.at,
            missing=audit.missing,
            balances=[BalanceSchema.of(balance) for balance in audit.balances],
            queues=[
                WaitingSchema(queue=depth.queue, waiting=depth.waiting, consumers=depth.consumers)
                for depth in audit.waiting
            ],
        )

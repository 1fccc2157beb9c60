"""Replays."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from jobtrail.models.dead_letters.dead_letter import LetterState
from jobtrail.models.dead_letters.replay import ReplayState
from jobtrail.operations.schemas.base import Schema, Timestamp

_OUTCOMES = (LetterState.REPLAYED, LetterState.RESOLVED, LetterState.FAILED_AGAIN, LetterState.UNKNOWN)


def _of_all_outcomes(counts: Mapping[LetterState, int]) -> Mapping[LetterState, int]:
    return {outcome: counts.get(outcome, 0) for outcome in _OUTCOMES}


class ReplaySchema(Schema):
    """One replay."""

    id: str
    state: ReplayState
    detail: str
    total: int
    sent: int
    counts: Annotated[dict[LetterState, int], BeforeValidator(_of_all_outcomes)]
    target: str | None
    rate: float | None
    staged: bool
    cancelling: bool
    who: str
    origin: str
    asked_at: Timestamp
    ended_at: Timestamp | None


class ReplayListSchema(Schema):
    """A page of replays."""

    replays: list[ReplaySchema] = Field(validation_alias="rows")
    next: str | None

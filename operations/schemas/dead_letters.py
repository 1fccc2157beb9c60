"""Dead letters, their groups, and dry runs."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, JsonValue

from jobtrail.models.dead_letters.dead_letter import LetterKind, LetterState
from jobtrail.models.dead_letters.dry_run import DryRun, Verdict
from jobtrail.operations.schemas.base import Schema, Timestamp


def _is_there(value: object) -> bool:
    return value is not None


def _in_all_states(counts: Mapping[LetterState, int]) -> Mapping[LetterState, int]:
    return {state: counts.get(state, 0) for state in LetterState}


class CauseSchema(Schema):
    """Why dead letters failed; those of one group have it in common."""

    queue: str
    origin: str
    reason: str
    error: str
    extractor_id: str
    version: str


class SendingSchema(Schema):
    """One replay of a dead letter."""

    replay_id: str
    at: Timestamp
    target: str
    outcome: LetterState
    detail: str
    outcome_at: Timestamp | None
    child: str | None


class LetterSchema(Schema):
    """One dead letter, without its bytes."""

    id: str
    state: LetterState
    kind: LetterKind
    group_id: str = Field(validation_alias="cause_id")
    cause: CauseSchema
    error: str
    job_id: str | None
    message_id: str | None
    correlation_id: str | None
    happened_at: Timestamp
    captured_at: Timestamp
    deaths: int
    size_bytes: int
    edited: Annotated[bool, BeforeValidator(_is_there)] = Field(validation_alias="edit")
    note: str
    parent: str | None
    maybe_repeated: str | None
    replay_id: str | None
    sendings: list[SendingSchema]


class LetterListSchema(Schema):
    """A page of dead letters."""

    letters: list[LetterSchema] = Field(validation_alias="rows")
    next: str | None


class JudgementSchema(Schema):
    """What a replay of a dead letter would do."""

    verdict: Verdict
    reason: str
    detail: str


class ContentSchema(Schema):
    """A body and its properties; secrets are masked."""

    text: str | None
    decoded: JsonValue
    hexadecimal: str
    size_bytes: int
    shown_bytes: int
    properties: dict[str, JsonValue]


class LetterDetailSchema(Schema):
    """One dead letter with its content, and what a replay would do."""

    letter: LetterSchema
    reason_words: str
    target: str
    judgement: JudgementSchema
    content: ContentSchema
    edited: ContentSchema | None


class FixSchema(Schema):
    """How a group was fixed."""

    note: str
    who: str
    at: Timestamp


class GroupSchema(Schema):
    """All dead letters with one cause."""

    id: str
    cause: CauseSchema
    kind: LetterKind
    sample_error: str
    first_seen: Timestamp
    last_seen: Timestamp
    total: int
    unsettled: int
    counts: Annotated[dict[LetterState, int], BeforeValidator(_in_all_states)]
    hours: list[int]
    fix: FixSchema | None


class GroupListSchema(Schema):
    """A page of groups."""

    groups: list[GroupSchema] = Field(validation_alias="rows")
    next: str | None


class WhySchema(Schema):
    """How many dead letters have the same verdict for the same reason."""

    verdict: Verdict
    reason: str
    count: int


class TargetSchema(Schema):
    """How many dead letters would go to a queue; its name is empty if it is unknown."""

    queue: str
    count: int


class DryRunSchema(Schema):
    """What a replay would do."""

    total: int
    applies: int
    duplicate: int
    fails: int
    untold: int
    reasons: list[WhySchema]
    targets: list[TargetSchema]

    @classmethod
    def of(cls, result: DryRun) -> Self:
        """Make it of a dry run."""
        return cls(
            total=result.total,
            applies=result.counts[Verdict.APPLIES],
            duplicate=result.counts[Verdict.DUPLICATE],
            fails=result.counts[Verdict.FAILS],
            untold=result.counts[Verdict.UNKNOWN],
            reasons=[
                WhySchema(verdict=verdict, reason=reason, count=count)
                for (verdict, reason), count in result.reasons.most_common()
            ],
            targets=[TargetSchema(queue=queue, count=count) for queue, count in result.targets.most_common()],
        )


class CountSchema(Schema):
    """How many dead letters an act changed."""

    count: int

"""Dead letters, their groups, and what replays would come to."""

from typing import Self

from pydantic import JsonValue

from jobtrail.models.dead_letters.dead_letter import Cause, CauseGroup, DeadLetter, LetterKind, LetterState, Sending
from jobtrail.models.dead_letters.dry_run import DryRun, Judgement, Verdict
from jobtrail.operations.dead_letter_view import Content, LetterView
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.keyset import Page


class CauseSchema(Schema):
    """Why letters went wrong."""

    queue: str
    origin: str
    reason: str
    error: str
    extractor_id: str
    version: str

    @classmethod
    def of(cls, cause: Cause) -> Self:
        """Make it of a cause."""
        return cls(
            queue=cause.queue,
            origin=cause.origin,
            reason=cause.reason,
            error=cause.error,
            extractor_id=cause.extractor_id,
            version=cause.version,
        )


class SendingSchema(Schema):
    """One time that a letter was replayed."""

    replay_id: str
    at: Timestamp
    target: str
    outcome: LetterState
    detail: str
    outcome_at: Timestamp | None
    child: str | None

    @classmethod
    def of(cls, sending: Sending) -> Self:
        """Make it of a sending."""
        return cls(
            replay_id=sending.replay_id,
            at=sending.at,
            target=sending.target,
            outcome=sending.outcome,
            detail=sending.detail,
            outcome_at=sending.outcome_at,
            child=sending.child,
        )


class LetterSchema(Schema):
    """One letter, without its bytes."""

    id: str
    state: LetterState
    kind: LetterKind
    group_id: str
    cause: CauseSchema
    error: str
    job_id: str | None
    message_id: str | None
    correlation_id: str | None
    happened_at: Timestamp
    captured_at: Timestamp
    deaths: int
    size_bytes: int
    edited: bool
    note: str
    parent: str | None
    maybe_repeated: str | None
    replay_id: str | None
    sendings: list[SendingSchema]

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        """Make it of a letter."""
        return cls(
            id=letter.id,
            state=letter.state,
            kind=letter.kind,
            group_id=letter.cause_id,
            cause=CauseSchema.of(letter.cause),
            error=letter.error,
            job_id=letter.job_id,
            message_id=letter.message_id,
            correlation_id=letter.correlation_id,
            happened_at=letter.happened_at,
            captured_at=letter.captured_at,
            deaths=letter.deaths,
            size_bytes=letter.size_bytes,
            edited=letter.edit is not None,
            note=letter.note,
            parent=letter.parent,
            maybe_repeated=letter.maybe_repeated,
            replay_id=letter.replay_id,
            sendings=[SendingSchema.of(each) for each in letter.sendings],
        )


class LetterListSchema(Schema):
    """A page of letters."""

    letters: list[LetterSchema]
    next: str | None

    @classmethod
    def of(cls, page: Page[DeadLetter]) -> Self:
        """Make it of a page."""
        return cls(letters=[LetterSchema.of(letter) for letter in page.rows], next=page.next)


class JudgementSchema(Schema):
    """What a replay of a letter would come to."""

    verdict: Verdict
    reason: str
    detail: str

    @classmethod
    def of(cls, judgement: Judgement) -> Self:
        """Make it of a judgement."""
        return cls(verdict=judgement.verdict, reason=judgement.reason, detail=judgement.detail)


class ContentSchema(Schema):
    """A body and its properties; secrets are masked."""

    text: str | None
    decoded: JsonValue
    hexadecimal: str
    size_bytes: int
    shown_bytes: int
    properties: dict[str, JsonValue]

    @classmethod
    def of(cls, content: Content) -> Self:
        """Make it of a content."""
        return cls.model_validate(
            {
                "text": content.text,
                "decoded": content.decoded,
                "hexadecimal": content.hexadecimal,
                "size_bytes": content.size_bytes,
                "shown_bytes": content.shown_bytes,
                "properties": content.properties,
            }
        )


class LetterDetailSchema(Schema):
    """One letter, looked at."""

    letter: LetterSchema
    reason_words: str
    target: str
    judgement: JudgementSchema
    content: ContentSchema
    edited: ContentSchema | None

    @classmethod
    def of(cls, view: LetterView) -> Self:
        """Make it of a view."""
        return cls(
            letter=LetterSchema.of(view.letter),
            reason_words=view.reason_words,
            target=view.target,
            judgement=JudgementSchema.of(view.judgement),
            content=ContentSchema.of(view.content),
            edited=ContentSchema.of(view.edited) if view.edited else None,
        )


class FixSchema(Schema):
    """How a group was mended the last time."""

    note: str
    who: str
    at: Timestamp


class GroupSchema(Schema):
    """All letters of one cause."""

    id: str
    cause: CauseSchema
    kind: LetterKind
    sample_error: str
    first_seen: Timestamp
    last_seen: Timestamp
    total: int
    unsettled: int
    counts: dict[LetterState, int]
    hours: list[int]
    fix: FixSchema | None

    @classmethod
    def of(cls, group: CauseGroup) -> Self:
        """Make it of a group."""
        fix = group.fix
        return cls(
            id=group.id,
            cause=CauseSchema.of(group.cause),
            kind=group.kind,
            sample_error=group.sample_error,
            first_seen=group.first_seen,
            last_seen=group.last_seen,
            total=group.total,
            unsettled=group.unsettled,
            counts={state: group.counts.get(state, 0) for state in LetterState},
            hours=list(group.hours),
            fix=FixSchema(note=fix.note, who=fix.who, at=fix.at) if fix else None,
        )


class GroupListSchema(Schema):
    """A page of groups."""

    groups: list[GroupSchema]
    next: str | None

    @classmethod
    def of(cls, page: Page[CauseGroup]) -> Self:
        """Make it of a page."""
        return cls(groups=[GroupSchema.of(group) for group in page.rows], next=page.next)


class WhySchema(Schema):
    """How many letters would come to the same for the same reason."""

    verdict: Verdict
    reason: str
    count: int


class TargetSchema(Schema):
    """How many letters would go to a queue; its name is empty where nobody knows one."""

    queue: str
    count: int


class DryRunSchema(Schema):
    """What a replay would come to."""

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
            untold=result.counts[Verdict.UNTOLD],
            reasons=[
                WhySchema(verdict=verdict, reason=reason, count=count)
                for (verdict, reason), count in result.reasons.most_common()
            ],
            targets=[TargetSchema(queue=queue, count=count) for queue, count in result.targets.most_common()],
        )


class CountSchema(Schema):
    """How many letters an act was about."""

    count: int

"""Which dead letters are meant: as the parameters of a list, and as the body of an act."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, Field, Strict, WithJsonSchema, model_validator

from jobtrail.models.dead_letters.dead_letter import LetterFilter, LetterKind, LetterState
from jobtrail.models.filters import Moment, Name
from jobtrail.operations.schemas.base import Schema
from jobtrail.web.api.parameters import Asked, AskedPage

MAX_IDS = 1000
LetterId = Annotated[str, Field(min_length=1, max_length=64, examples=["69210b1c0000000000000007"])]
_BodyMoment = Annotated[
    Moment,
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [{"pattern": r"^[0-9]{1,4}(s|m|min|h|d|w)$"}, {"format": "date-time"}],
            "examples": ["2h", "2026-11-22T00:14:36Z"],
        }
    ),
]
"""A `Moment` in a body, where the schema says which texts are always taken."""
_REPEATED = "Only letters that may be repetitions of earlier ones; or, if false, only the others."
_SINCE = "Only letters captured at this time or later."
_UNTIL = "Only letters captured at this time or before."


class _Narrowing(BaseModel):
    """What letters have in common that are meant, wherever that is said."""

    group: Name | None = Field(None, examples=["5b2a0c4de9f81a37"], description="Only letters of this group.")
    kind: LetterKind | None = Field(None, description="Only letters of this kind.")
    queue: Name | None = Field(
        None, examples=["jobtrail.dead-letters"], description="Only letters that were captured from this queue."
    )
    origin: Name | None = Field(
        None, examples=["jobtrail.replies"], description="Only letters that had been in this queue before."
    )
    reason: Name | None = Field(None, examples=["too_large"], description="Only letters with this reason.")
    extractor: Name | None = Field(None, examples=["ncsa.wordcount"], description="Only letters of this extractor.")
    job: Name | None = Field(None, description="Only letters of this job.")
    replay: Name | None = Field(None, examples=["8c1f4a2be6d0"], description="Only letters that this replay sent last.")
    maybe_repeated: bool | None = Field(None, description=_REPEATED)
    since: Moment | None = Field(None, description=_SINCE)
    until: Moment | None = Field(None, description=_UNTIL)

    def wanted(self) -> LetterFilter:
        """Make the filter of it."""
        return LetterFilter(
            cause_id=self.group,
            kind=self.kind,
            queue=self.queue,
            origin=self.origin,
            reason=self.reason,
            extractor_id=self.extractor,
            job_id=self.job,
            replay_id=self.replay,
            maybe_repeated=self.maybe_repeated,
            since=self.since,
            until=self.until,
        )


class AskedSelection(_Narrowing, Asked):
    """Which letters, in a query."""

    state: list[LetterState] = Field(
        default_factory=list, description="Only letters in this state; may be repeated.", examples=[["open"]]
    )

    def wanted(self) -> LetterFilter:
        """Make the filter of it."""
        return replace(super().wanted(), states=tuple(dict.fromkeys(self.state)) or None)


class AskedLetters(AskedSelection, AskedPage):
    """Which letters, page by page."""


class SelectionSchema(_Narrowing, Schema):
    """Which letters an act is about: `ids`, or any filters, or `all`. An empty body is refused: it might be a slip."""

    all: Literal[True] | None = Field(None, description="All letters that the act can be about.")
    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MAX_IDS)] | None = Field(
        None, description="These letters."
    )
    maybe_repeated: Annotated[bool, Strict()] | None = Field(None, description=_REPEATED)
    since: _BodyMoment | None = Field(None, description=_SINCE)
    until: _BodyMoment | None = Field(None, description=_UNTIL)

    @model_validator(mode="after")
    def _means_something(self) -> "SelectionSchema":
        if not self.all and self.wanted() == LetterFilter():
            raise ValueError("say which letters: `ids`, filters such as `group`, or `all`")
        return self

    def wanted(self) -> LetterFilter:
        """Make the filter of it."""
        return replace(super().wanted(), ids=self.ids)


Target = Annotated[str, Field(min_length=1, max_length=255)]


class AskedDryRun(SelectionSchema):
    """Which letters are judged, and where they would go."""

    to: Target | None = Field(
        None, examples=["ncsa.wordcount"], description="The queue they would go to; else each to where it came from."
    )
    include_repeated: Annotated[bool, Strict()] = Field(
        False, description="Also letters that may be repetitions of others; those that are named always are."
    )


class AskedReplay(AskedDryRun):
    """Which letters are replayed, and how."""

    rate: Annotated[float, Strict(), Field(ge=0.01, le=1_000_000)] | None = Field(
        None, examples=[100], description="Letters per second at the most; else as fast as it goes."
    )
    staged: Annotated[bool, Strict()] = Field(
        True,
        description="Send 1, then 10 in all, then the rest: each time the outcomes are waited for, and one that failed "
        "halts the replay.",
    )


class AskedDiscard(SelectionSchema):
    """Which letters are discarded, and why."""

    why: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")] = Field(
        description="Why; it stays with the letters.", examples=["a test of ours"]
    )

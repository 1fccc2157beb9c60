"""Which dead letters an endpoint is about: as query parameters, and as the body of an act."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, Strict, WithJsonSchema, model_validator

from jobtrail.models.dead_letters.dead_letter import LetterFilter
from jobtrail.models.dead_letters.filter import DeadLetterFilter, DeadLetterListFilter
from jobtrail.models.filters import Moment
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


def _described(name: str) -> str | None:
    return DeadLetterFilter.model_fields[name].description


class AskedSelection(DeadLetterListFilter, Asked):
    """Which dead letters, in a query."""


class AskedLetters(AskedSelection, AskedPage):
    """Which dead letters, page by page."""


class SelectionSchema(DeadLetterFilter, Schema):
    """Which letters an act is about: `ids`, or any filters, or `all`. An empty body is refused: it might be a slip."""

    all: Literal[True] | None = Field(None, description="All letters that the act can be about.")
    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MAX_IDS)] | None = Field(
        None, description="These letters."
    )
    maybe_repeated: Annotated[bool, Strict()] | None = Field(None, description=_described("maybe_repeated"))
    since: _BodyMoment | None = Field(None, description=_described("since"))
    until: _BodyMoment | None = Field(None, description=_described("until"))

    @model_validator(mode="after")
    def _means_something(self) -> "SelectionSchema":
        if not self.all and self.selection() == LetterFilter():
            raise ValueError("say which letters: `ids`, filters such as `group`, or `all`")
        return self

    def selection(self) -> LetterFilter:
        """Make the selection that the database reads."""
        return replace(super().selection(), ids=self.ids)


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

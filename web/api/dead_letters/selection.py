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
"""A `Moment` in a body, whose schema names the texts that are always accepted."""


def _described(name: str) -> str | None:
    return DeadLetterFilter.model_fields[name].description


class AskedSelection(DeadLetterListFilter, Asked):
    """Which dead letters, in a query."""


class AskedLetters(AskedSelection, AskedPage):
    """Which dead letters, page by page."""


class SelectionSchema(DeadLetterFilter, Schema):
    """Which dead letters an act is about: `ids`, filters, or `all`. An empty body may be a mistake: refused."""

    all: Literal[True] | None = Field(None, description="All dead letters that the act applies to.")
    ids: Annotated[list[LetterId], Field(min_length=1, max_length=MAX_IDS)] | None = Field(
        None, description="These dead letters."
    )
    maybe_repeated: Annotated[bool, Strict()] | None = Field(None, description=_described("maybe_repeated"))
    since: _BodyMoment | None = Field(None, description=_described("since"))
    until: _BodyMoment | None = Field(None, description=_described("until"))

    @model_validator(mode="after")
    def _means_something(self) -> "SelectionSchema":
        if not self.all and self.selection() == LetterFilter():
            raise ValueError("select dead letters: `ids`, filters such as `group`, or `all`")
        return self

    def selection(self) -> LetterFilter:
        """Make the selection that the database reads."""
        return replace(super().selection(), ids=self.ids)


Target = Annotated[str, Field(min_length=1, max_length=255)]


class AskedDryRun(SelectionSchema):
    """Which dead letters are tested, and their target."""

    to: Target | None = Field(
        None, examples=["ncsa.wordcount"], description="The target queue; else each goes to its origin."
    )
    include_repeated: Annotated[bool, Strict()] = Field(
        False, description="Include possible repetitions of others; named ones are always included."
    )


class AskedReplay(AskedDryRun):
    """Which dead letters are replayed, and how."""

    rate: Annotated[float, Strict(), Field(ge=0.01, le=1_000_000)] | None = Field(
        None, examples=[100], description="Dead letters per second at most; else as fast as possible."
    )
    staged: Annotated[bool, Strict()] = Field(
        True,
        description="Send 1, then up to 10, then the rest; wait for the outcomes in between, and halt if one failed.",
    )


class AskedDiscard(SelectionSchema):
    """Which dead letters are discarded, and why."""

    why: Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S")] = Field(
        description="Why; it stays with them.", examples=["a test of ours"]
    )

"""What people narrow lists by: one model per noun, of which options, query parameters and forms are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.fields import FieldInfo

from jobtrail.models.jobs.status import Status, status_of_word
from jobtrail.models.jobs.wire import MAX_NAME_LENGTH
from jobtrail.models.times import read_moment


@dataclass(slots=True, frozen=True, kw_only=True)
class Shown:
    """How people meet a filter, beside its name and its description; stands in the field's `Annotated`."""

    label: str = ""
    """On a form; empty for a filter that has no field of its own there."""
    placeholder: str = ""
    option: str | None = None
    """The command's option where it is not `--name`."""


class Filter(BaseModel):
    """Which rows of a list are asked for; what is not given narrows nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def given(self) -> Mapping[str, object]:
        """Return the filters that narrow the list, by name."""
        values = {name: getattr(self, name) for name, field in type(self).model_fields.items() if shown(field)}
        return {name: value for name, value in values.items() if value not in (None, []) and value is not False}


def shown(field: FieldInfo) -> Shown | None:
    """Return how people meet a field of a model; None for one that is not a filter."""
    return next((each for each in field.metadata if isinstance(each, Shown)), None)


def _moment(text: object) -> object:
    if isinstance(text, datetime):
        return text
    if not isinstance(text, str):
        raise ValueError("a time is written as text")  # noqa: TRY004  # pydantic takes no other error
    return read_moment(text, datetime.now(UTC))


def _status(word: object) -> object:
    status = status_of_word(word) if isinstance(word, str) else None
    if status is None:
        raise ValueError(f"{str(word)[:40]!r} is not a status; use {', '.join(Status)}")
    return status


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"type": "string", "examples": ["2h", "2026-11-22T00:14:36Z"]}),
]
"""A time: RFC 3339 or ISO 8601, or an age such as 2h."""

StatusWord = Annotated[
    Status, BeforeValidator(_status), WithJsonSchema({"type": "string", "examples": ["ERROR", "done"]})
]
"""A status in any case; older words such as `done` too."""

Statuses = Annotated[
    list[StatusWord],
    Field(description="Only in this status, in any case, also by older words (`done`, `start`); may be repeated."),
]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
Text = Annotated[str, Field(min_length=1, max_length=128)]

"""The parameters that several endpoints have."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from jobtrail.models.jobs.status import Status, status_of_word
from jobtrail.models.jobs.wire import MAX_NAME_LENGTH
from jobtrail.models.times import read_moment
from jobtrail.store.keyset import SortOrder, cursor_behind

EXAMPLE_CURSOR = cursor_behind(
    SortOrder(field="updated_at", direction=-1),
    {"updated_at": datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC), "_id": "job-7"},
)
_MAX_CURSOR_LENGTH = 4096


def _moment(text: object) -> object:
    if not isinstance(text, str):
        raise ValueError("a time is written as text")  # noqa: TRY004  # pydantic takes no other error
    return read_moment(text, datetime.now(UTC))


def _status(word: object) -> object:
    status = status_of_word(word) if isinstance(word, str) else None
    if status is None:
        raise ValueError(f"{str(word)[:40]!r} is no status; there are {', '.join(Status)}")
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
Limit = Annotated[int, Field(ge=1, le=1000, description="Rows per page.", examples=[50])]
Cursor = Annotated[str, Field(min_length=1, max_length=_MAX_CURSOR_LENGTH)]

PageCursor = Annotated[
    Cursor | None, Field(description="Go on where a page ended: its `next`.", examples=[EXAMPLE_CURSOR])
]


class Asked(BaseModel):
    """What stands in a query; a parameter that there is not is refused, as it would be missed silently."""

    model_config = ConfigDict(extra="forbid")


class AskedPage(Asked):
    """A page of a list."""

    limit: Limit = 50
    cursor: PageCursor = None

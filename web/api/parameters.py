"""The parameters that several endpoints have."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jobtrail.store.keyset import SortOrder, cursor_behind

EXAMPLE_CURSOR = cursor_behind(
    SortOrder(field="updated_at", direction=-1),
    {"updated_at": datetime(2026, 11, 22, 0, 14, 36, tzinfo=UTC), "_id": "job-7"},
)
_MAX_CURSOR_LENGTH = 4096


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

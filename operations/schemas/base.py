"""What all schemas share."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from jobtrail.models.times import rfc3339

Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-11-22T00:14:36.000Z"]}),
]
"""A time: RFC 3339, UTC, milliseconds."""


class Schema(BaseModel):
    """An answer, or a part of one; `model_validate` makes it of an object that has its fields as attributes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", from_attributes=True, json_schema_serialization_defaults_required=True
    )

    def json_object(self) -> dict[str, object]:
        """Return it as what `json.dumps` takes."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def gathered(cls, *sources: object, **more: object) -> dict[str, object]:
        """Gather the fields that stand in several objects: each from `more`, else from the first that has it."""
        names = [name for name in cls.model_fields if name not in more]
        return more | {name: next(getattr(each, name) for each in sources if hasattr(each, name)) for name in names}

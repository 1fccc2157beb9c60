"""Updates as events for programs."""

from typing import Self

from pydantic import ValidationError

from jobtrail.operations.schemas.base import Schema
from jobtrail.operations.schemas.jobs import EventSchema
from jobtrail.store.feed import Update
from jobtrail.web.live.sse import event


class UpdateSchema(Schema):
    """One stored update, and what it is about."""

    job_id: str | None
    extractor_id: str
    resource_id: str
    user_id: str | None
    event: EventSchema

    @classmethod
    def of(cls, update: Update) -> Self:
        """Make it of an update."""
        return cls.model_validate(cls.gathered(update.event.update, event=update.event))


def update_frame(update: Update) -> bytes:
    """Write an update as an event, whose id is the update's token; nothing for a record that is no update of ours."""
    try:
        schema = UpdateSchema.of(update)
    except ValidationError:
        return b""
    return event("update", schema.model_dump_json(), update.token)

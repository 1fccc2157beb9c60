"""Datasets, their creation log and their story."""

from datetime import datetime
from typing import Any, Self

from pydantic import ConfigDict, Field

from jobtrail.models.datasets.dataset import OPEN_STATUSES, StatusSource
from jobtrail.models.times import rfc3339
from jobtrail.operations.schemas.base import Schema, Timestamp
from jobtrail.store.datasets.story import Moment, MomentKind, Story
from jobtrail.store.datasets.views import DatasetRow


class AnswerSchema(Schema):
    """What one source said last."""

    status: str | None
    progress: float | None
    error_message: str | None
    problem: str | None
    detail: str | None
    since: Timestamp | None
    asked_at: Timestamp | None = Field(validation_alias="at")


class RulingSchema(Schema):
    """Who decided the status, and why."""

    source: StatusSource
    reason: str
    at: Timestamp


class DatasetSchema(Schema):
    """One dataset's history; `answers` is by source, `api` and `events`."""

    history_id: str
    dataset_id: str | None
    status: str | None
    group: str | None
    training_schedule: str | None
    created_at: Timestamp | None
    updated_at: Timestamp | None
    minutes_stuck: int | None
    progress: float | None
    error_message: str | None
    answers: dict[StatusSource, AnswerSchema | None]
    ruling: RulingSchema | None
    flaw: str | None

    @classmethod
    def of(cls, row: DatasetRow, now: datetime) -> Self:
        """Make it of a dataset as it stands at a time."""
        return cls.model_validate(_facts(row, now))


class DatasetListSchema(Schema):
    """One page of datasets."""

    datasets: list[DatasetSchema]
    next: str | None


class DatasetCountsSchema(Schema):
    """How many datasets are Pending or Analyzing, how many of those are stuck, and how many have no known status."""

    open: int
    stuck: int
    unknown: int


class LogEntrySchema(Schema):
    """One entry of the creation log."""

    id: str = Field(validation_alias="key")
    dataset_id: str | None
    group: str | None
    event_type: str = Field(validation_alias="type")
    from_status: str | None = Field(serialization_alias="from")
    to_status: str | None = Field(serialization_alias="to")
    source: str | None
    message: str | None
    run_id: str | None
    created_at: Timestamp | None


class LogListSchema(Schema):
    """One page of the creation log."""

    entries: list[LogEntrySchema] = Field(validation_alias="rows")
    next: str | None


class MomentSchema(Schema):
    """One thing that happened to a dataset; what only its kind has stands beside the rest."""

    model_config = ConfigDict(extra="allow")

    at: Timestamp | None
    kind: MomentKind
    state: str | None
    subject: str | None
    message: str | None

    @classmethod
    def of(cls, moment: Moment) -> Self:
        """Make it of a moment."""
        facts = {name: rfc3339(fact) if isinstance(fact, datetime) else fact for name, fact in moment.facts.items()}
        fields = {"at": moment.at, "kind": moment.kind, "state": moment.state, "subject": moment.subject}
        return cls.model_validate({**fields, "message": moment.message, **facts})


class StorySchema(DatasetSchema):
    """All that is known of one dataset; of the kinds in `cut` only the latest moments are told."""

    status_since: Timestamp | None
    story: list[MomentSchema]
    cut: list[MomentKind]

    @classmethod
    def of_story(cls, story: Story, now: datetime) -> Self:
        """Make it of a story as it stands at a time."""
        return cls(
            **_facts(story.dataset, now),
            status_since=story.status_since,
            story=[MomentSchema.of(moment) for moment in story.moments],
            cut=list(story.cut),
        )


def _facts(row: DatasetRow, now: datetime) -> dict[str, Any]:
    return {
        "history_id": row.key,
        "dataset_id": row.dataset_id,
        "status": row.status,
        "group": row.group,
        "training_schedule": row.training_schedule,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "minutes_stuck": row.minutes_without_news(now) if row.status in OPEN_STATUSES else None,
        "progress": row.progress,
        "error_message": row.error_message,
        "answers": {source: row.answers.get(source) for source in StatusSource},
        "ruling": row.ruling,
        "flaw": row.flaw,
    }

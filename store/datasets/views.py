"""The read side of datasets: lists for finding problems.

The console's records are shown as they are, also those that we could not work with: a flaw hides no other record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from jobtrail.models.datasets.dataset import Answer, DatasetStatus, LogType, Ruling, StatusSource
from jobtrail.models.errors import RecordError
from jobtrail.models.notifications.alert import AlertKind
from jobtrail.models.redaction import redact
from jobtrail.store.database import Document, translated
from jobtrail.store.datasets.console import Console
from jobtrail.store.datasets.documents import history_from, open_query
from jobtrail.store.keyset import Page, SortOrder, read_page

STUCK_AFTER = timedelta(hours=2)
"""An open dataset without news for longer is stuck, unless another time is given."""

_OLDEST_FIRST = SortOrder(field="updated_at", direction=1)
_LATEST_FIRST = SortOrder(field="updated_at", direction=-1)
_LATEST_LOGS_FIRST = SortOrder(field="created_at", direction=-1)
_DENIALS = [AlertKind.API_NOT_FOUND.value, AlertKind.API_UNKNOWN_STATUS.value]
"""Answers without a status that contradict the stored one all the same; other problems say nothing about a dataset."""


@dataclass(slots=True, frozen=True, kw_only=True)
class DatasetRow:
    """A dataset's history as it is stored, with its group."""

    key: str
    """The record's `_id`."""
    dataset_id: str
    """Empty where the record has none."""
    status: str
    """The console's word, which may not be a status."""
    group: str | None
    """The wishlist group's name; None where there is no such group."""
    training_schedule: str | None
    created_at: datetime | None
    updated_at: datetime | None
    """When status, progress or error message changed last."""
    progress: float | None
    """Percent done, 0 to 100."""
    error_message: str | None
    answers: Mapping[StatusSource, Answer] = field(default_factory=dict)
    """What each source said last."""
    ruling: Ruling | None = None
    """Who decided the status, and why."""
    flaw: str | None = None
    """Why the history is not valid, so that it is not watched."""

    @property
    def problem(self) -> str | None:
        """What keeps a source from telling this dataset's status, in words."""
        for answer in self.answers.values():
            if answer.problem:
                return f"{answer.problem}: {answer.detail}" if answer.detail else answer.problem
        return None

    @property
    def said_since(self) -> datetime | None:
        """Since when the sources have said what they say."""
        return max((answer.since for answer in self.answers.values() if answer.since), default=None)

    def minutes_without_news(self, now: datetime) -> int | None:
        """Count the minutes since the last update; None where it is unknown."""
        return None if self.updated_at is None else int((now - self.updated_at).total_seconds() // 60)


@dataclass(slots=True, frozen=True, kw_only=True)
class LogRow:
    """An entry of the creation log as it is stored, whoever wrote it; what it leaves out is None."""

    key: str
    """The entry's `_id`."""
    dataset_id: str | None
    group: str | None
    type: str
    """The console's word."""
    from_status: str | None
    to_status: str | None
    source: str | None
    message: str | None
    run_id: str | None
    created_at: datetime | None


@dataclass(slots=True, frozen=True, kw_only=True)
class DatasetCounts:
    """How many datasets there are of some kinds."""

    open: int
    """Pending or Analyzing."""
    stuck: int
    """Those of them without news for long."""
    unknown: int
    """With an unknown status."""


class DatasetViews:
    """Reads lists of datasets and of their creation log."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def pending(self, *, limit: int, cursor: str | None = None) -> Page[DatasetRow]:
        """Read the datasets that await an end, those without news for longest first."""
        return await self._histories(open_query(), _OLDEST_FIRST, limit, cursor)

    async def stuck(self, *, before: datetime, limit: int, cursor: str | None = None) -> Page[DatasetRow]:
        """Read the datasets that await an end and have had no news for long, the longest first."""
        return await self._histories(_stuck_query(before), _OLDEST_FIRST, limit, cursor)

    async def with_errors(self, *, since: datetime, limit: int, cursor: str | None = None) -> Page[DatasetRow]:
        """Read the datasets with an error message, the latest first."""
        query: Document = {"error_message": {"$type": "string"}, "updated_at": {"$gte": since}}
        return await self._histories(query, _LATEST_FIRST, limit, cursor)

    async def disputed(self, *, limit: int, cursor: str | None = None) -> Page[DatasetRow]:
        """Read the datasets of which a source tells another status than the stored one, the latest first.

        A source that could not be asked does not count; one that does not know the dataset, or reports an unknown
        status, does.

        Returns the page. Whenever two sources disagree with each other, one of them disagrees with the stored status.
        """
        statuses = [f"$answers.{source}.status" for source in StatusSource]
        differs = [{"$and": [{"$gt": [status, None]}, {"$ne": [status, "$status"]}]} for status in statuses]
        denied = [{"$in": [f"$answers.{source}.problem", _DENIALS]} for source in StatusSource]
        return await self._histories({"$expr": {"$or": [*differs, *denied]}}, _LATEST_FIRST, limit, cursor)

    async def logs(self, type_: LogType, *, since: datetime, limit: int, cursor: str | None = None) -> Page[LogRow]:
        """Read entries of the creation log, the latest first."""
        stages = [GROUP_STAGE, _history_stage()]
        query: Document = {"event_type": type_.value, "created_at": {"$gte": since}}
        page = await read_page(
            self._console.creation_logs, query, _LATEST_LOGS_FIRST, limit=limit, cursor=cursor, stages=stages
        )
        return Page(rows=[log_row(document) for document in page.rows], next=page.next)

    async def counts(self, *, stuck_before: datetime) -> DatasetCounts:
        """Count the datasets that need attention."""
        histories = self._console.histories
        with translated():
            return DatasetCounts(
                open=await histories.count_documents(open_query()),
                stuck=await histories.count_documents(_stuck_query(stuck_before)),
                unknown=await histories.count_documents(
                    {"status": {"$nin": [status.value for status in DatasetStatus]}}
                ),
            )

    async def _histories(self, query: Document, order: SortOrder, limit: int, cursor: str | None) -> Page[DatasetRow]:
        page = await read_page(
            self._console.histories, query, order, limit=limit, cursor=cursor, stages=[GROUP_STAGE, _LAST_ANSWERS_STAGE]
        )
        return Page(rows=[dataset_row(document) for document in page.rows], next=page.next)


def _stuck_query(before: datetime) -> Document:
    """Find histories that await an end and have had no news since a time; without a usable one, by their creation."""
    # An expression, because a query's own comparison finds dates only.
    return {
        **open_query(),
        "$expr": {"$lt": ["$updated_at", {"$literal": before}]},
        "$nor": [{"updated_at": {"$not": {"$type": "date"}}, "created_at": {"$gte": before}}],
    }


GROUP_STAGE: Document = {
    "$lookup": {
        "from": "wishlist_to_groups",
        "localField": "wishlist_to_group_id",
        "foreignField": "_id",
        "pipeline": [{"$project": {"name": 1, "training_schedule": 1}}],
        "as": "group",
    }
}
"""Joins the name and the schedule of a document's wishlist group."""
_LAST_ANSWERS_STAGE: Document = {"$project": {"earlier_answers": 0}}


def _history_stage() -> Document:
    """Join the dataset's id, which entries that the console wrote may leave out."""
    return {
        "$lookup": {
            "from": "wishlist_dataset_histories",
            "localField": "wishlist_dataset_history_id",
            "foreignField": "_id",
            "pipeline": [{"$project": {"dataset_id": 1}}],
            "as": "history",
        }
    }


def dataset_row(document: Mapping[str, Any]) -> DatasetRow:
    """Read a history with its group, whatever is wrong with it."""
    get = document.get
    answers: Mapping[StatusSource, Answer] = {}
    ruling: Ruling | None = None
    flaw: str | None = None
    try:
        history = history_from(document)
        answers, ruling = history.answers, history.ruling
    except RecordError as error:
        flaw = redact(repr(error.__cause__))
    created_at = moment_of(get("created_at"))
    group = next(iter(get("group") or ()), None)
    progress = get("progress")
    return DatasetRow(
        key=str(document["_id"]),
        dataset_id=str(get("dataset_id") or ""),
        status=str(get("status")),
        group=_group_name(group),
        training_schedule=group and text_of(group.get("training_schedule")),
        created_at=created_at,
        updated_at=moment_of(get("updated_at")) or created_at,
        progress=float(progress) if isinstance(progress, int | float) else None,
        error_message=text_of(get("error_message")),
        answers=answers,
        ruling=ruling,
        flaw=flaw,
    )


def log_row(document: Mapping[str, Any]) -> LogRow:
    """Read an entry of the creation log, whoever wrote it."""
    get = document.get
    history: Mapping[str, Any] = next(iter(get("history") or ()), {})
    return LogRow(
        key=str(document["_id"]),
        dataset_id=text_of(get("dataset_id") or history.get("dataset_id")),
        group=_group_name(next(iter(get("group") or ()), None)),
        type=str(get("event_type")),
        from_status=text_of(get("from")),
        to_status=text_of(get("to")),
        source=text_of(get("source")),
        message=text_of(get("message")),
        run_id=text_of(get("run_id")),
        created_at=moment_of(get("created_at")),
    )


def _group_name(group: Mapping[str, Any] | None) -> str | None:
    return None if group is None else str(group.get("name") or group["_id"])


def moment_of(value: object) -> datetime | None:
    """Read a time from a document that anybody may have written."""
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def text_of(value: object) -> str | None:
    """Read a text from a document that anybody may have written; its secrets are masked."""
    return None if value is None else redact(str(value))

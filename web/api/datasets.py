"""Datasets: the lists for who looks for trouble, the creation log, and one dataset's whole story."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field

from jobtrail.models.datasets.dataset import LogType
from jobtrail.models.filters import Moment
from jobtrail.operations.schemas.datasets import (
    DatasetCountsSchema,
    DatasetListSchema,
    DatasetSchema,
    LogListSchema,
    StorySchema,
)
from jobtrail.store.datasets.views import STUCK_AFTER, DatasetRow
from jobtrail.store.keyset import Page
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.examples import jobs as examples
from jobtrail.web.api.parameters import Asked, AskedPage
from jobtrail.web.dependencies import AppParts, Caller, get_identity
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId

_RECENT = timedelta(days=1)


class View(StrEnum):
    """The lists."""

    PENDING = "pending"
    STUCK = "stuck"
    ERRORS = "errors"
    DISPUTED = "disputed"


class LogKind(StrEnum):
    """The kinds of entries."""

    CHANGES = "changes"
    FAILURES = "failures"


_LOG_TYPES = {LogKind.CHANGES: LogType.STATUS_UPDATE, LogKind.FAILURES: LogType.FAILURE}


class AskedStuck(Asked):
    """From when on a dataset counts as stuck."""

    older_than: Moment | None = Field(
        None,
        examples=["2h"],
        description="Stuck is what has had no news for so long (30m, 2h, 1d), or since this time; else 2h.",
    )

    @property
    def stuck_before(self) -> datetime:
        """The time since which a stuck dataset has had no news."""
        return self.older_than or datetime.now(UTC) - STUCK_AFTER


class AskedDatasets(AskedPage, AskedStuck):
    """Which datasets."""

    view: View = Field(
        View.PENDING,
        description="pending: Pending or Analyzing, those without news for longest first. stuck: those of them without "
        "news for long. errors: with an error message, the latest first. disputed: of which a source tells another "
        "status than the stored one, the latest first.",
    )
    since: Moment | None = Field(
        None, examples=["1w"], description="For errors: only those that changed at this time or later; else 1d."
    )


class AskedLog(AskedPage):
    """Which entries."""

    type: LogKind = Field(
        LogKind.CHANGES, description="changes of the status, or failures: changes that were refused or not possible."
    )
    since: Moment | None = Field(None, examples=["1w"], description="Only entries of this time or later; else 1d.")


router = APIRouter(tags=["datasets"], dependencies=[Depends(get_identity)])


@router.get("/datasets", summary="List datasets", **documented(examples.DATASET_LIST, 400))
async def datasets(parts: AppParts, request: Request, asked: Annotated[AskedDatasets, Query()]) -> Response:
    """Those that somebody may have to look after, by `view`."""
    page = await _read(parts, asked)
    now = datetime.now(UTC)
    rows = DatasetListSchema(datasets=[DatasetSchema.of(row, now) for row in page.rows], next=page.next)
    return answer(rows, next_link(request, page.next))


@router.get("/datasets/counts", summary="Count datasets", **documented(examples.DATASET_COUNTS, 400))
async def counts(parts: AppParts, asked: Annotated[AskedStuck, Query()]) -> Response:
    """How many are open, stuck, or without a known status."""
    return answer(DatasetCountsSchema.model_validate(await parts.dataset_views.counts(stuck_before=asked.stuck_before)))


@router.get("/datasets/log", summary="List the creation log", **documented(examples.LOG_LIST, 400))
async def log(parts: AppParts, request: Request, asked: Annotated[AskedLog, Query()]) -> Response:
    """What became of datasets, the latest first."""
    since = asked.since or datetime.now(UTC) - _RECENT
    page = await parts.dataset_views.logs(_LOG_TYPES[asked.type], since=since, limit=asked.limit, cursor=asked.cursor)
    return answer(LogListSchema.model_validate(page), next_link(request, page.next))


@router.get("/datasets/{dataset_id}", summary="Show a dataset", **documented(examples.STORY, 400, 404))
async def dataset(parts: AppParts, dataset_id: PathId, identity: Caller) -> Response:
    """Its whole story in time order: log, what its sources said, jobs, batch jobs, notifications, messages.

    A viewer is not shown what other users were told.
    """
    story = await parts.dataset_stories.read(dataset_id)
    seen = replace(story, moments=[moment for moment in story.moments if identity.may_see_told(moment.notified_user)])
    return answer(StorySchema.of_story(seen, datetime.now(UTC)))


async def _read(parts: Parts, asked: AskedDatasets) -> Page[DatasetRow]:
    views, limit, cursor = parts.dataset_views, asked.limit, asked.cursor
    match asked.view:
        case View.PENDING:
            return await views.pending(limit=limit, cursor=cursor)
        case View.STUCK:
            return await views.stuck(before=asked.stuck_before, limit=limit, cursor=cursor)
        case View.ERRORS:
            since = asked.since or datetime.now(UTC) - _RECENT
            return await views.with_errors(since=since, limit=limit, cursor=cursor)
        case View.DISPUTED:
            return await views.disputed(limit=limit, cursor=cursor)

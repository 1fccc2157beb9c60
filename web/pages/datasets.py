"""The page of datasets: lists for finding problems, and the messages that are not sent."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from jobtrail.models.datasets.dataset import LogType
from jobtrail.models.errors import NotFoundError
from jobtrail.models.notifications.outbox import UNSENT_STATES, OutboxEntry, OutboxState
from jobtrail.models.times import read_moment
from jobtrail.models.token import Role
from jobtrail.store.datasets.views import STUCK_AFTER, DatasetRow, LogRow
from jobtrail.store.keyset import Page
from jobtrail.web.dependencies import AppParts, Caller
from jobtrail.web.parts import Parts
from jobtrail.web.paths import address
from jobtrail.web.render import query

ROWS_PER_PAGE = 50
_WRONG_TIME = "Enter an age (30m, 2h, 1d, 1w) or a time (2026-11-22, 2026-11-22T14:05)."


class DatasetView(StrEnum):
    """The lists, by their names in the address."""

    OPEN = "pending"
    STUCK = "stuck"
    ERRORS = "errors"
    DISPUTED = "disputed"
    LOG = "log"
    MESSAGES = "messages"


_AGES = {DatasetView.STUCK: "2h", DatasetView.ERRORS: "1w", DatasetView.LOG: "1w"}
"""How far the lists that have such a bound look back, unless another bound is given."""
_LOG_TYPES = {"": LogType.STATUS_UPDATE, "failures": LogType.FAILURE}


class DatasetQuery(BaseModel):
    """What stands in the address: text, as it was typed."""

    view: str = DatasetView.OPEN
    since: str = ""
    type: str = ""
    cursor: str = ""
    id: str = ""

    def address(self, **changed: object) -> str:
        """Make the address of a list.

        Returns such as `/datasets?view=stuck`.
        """
        return f"/datasets{query(**self.model_dump(exclude={'cursor', 'id'}) | changed)}"


@dataclass(slots=True, frozen=True, kw_only=True)
class _Asked:
    """The request, validated."""

    view: DatasetView
    age: str
    """As it stands in its field; empty where the list has no such bound."""
    bound: datetime | None
    problem: str | None
    """What is wrong with the age."""
    type: LogType
    cursor: str | None


router = APIRouter(include_in_schema=False)


@router.get("/datasets")
async def datasets(
    parts: AppParts,
    request: Request,
    identity: Caller,
    typed: Annotated[DatasetQuery, Query()],
) -> Response:
    if typed.id.strip():
        return RedirectResponse(address("datasets", typed.id.strip()), HTTPStatus.SEE_OTHER)
    now = datetime.now(UTC)
    asked = _judge(typed, now)
    if asked.view is DatasetView.MESSAGES and identity.role is not Role.OPERATOR:
        raise HTTPException(HTTPStatus.FORBIDDEN, "Only operators see the messages of others.")
    page = None if asked.problem else await _read(parts, asked)
    return await parts.renderer.page(
        request,
        identity,
        "datasets.html",
        status=HTTPStatus.BAD_REQUEST if asked.problem else HTTPStatus.OK,
        asked=asked,
        typed=typed,
        views=[view for view in DatasetView if view is not DatasetView.MESSAGES or identity.role is Role.OPERATOR],
        counts=await parts.dataset_views.counts(stuck_before=now - STUCK_AFTER),
        given_up=await _given_up(parts),
        page=page,
        first=typed.address() if typed.cursor else None,
        more=typed.address(cursor=page.next) if page and page.next else None,
    )


def _judge(typed: DatasetQuery, now: datetime) -> _Asked:
    if typed.view not in {*DatasetView}:
        raise NotFoundError(f"there is no list of datasets called {typed.view[:40]!r}")
    if typed.type not in _LOG_TYPES:
        raise NotFoundError(f"the log has no entries of the type {typed.type[:40]!r}")
    view = DatasetView(typed.view)
    age = (typed.since.strip() or _AGES[view]) if view in _AGES else ""
    bound, problem = _bound(age, now)
    return _Asked(
        view=view, age=age, bound=bound, problem=problem, type=_LOG_TYPES[typed.type], cursor=typed.cursor or None
    )


def _bound(age: str, now: datetime) -> tuple[datetime | None, str | None]:
    """Read an age or a time; return it, or what is wrong with it."""
    if not age:
        return None, None
    try:
        return read_moment(age, now), None
    except ValueError:
        return None, _WRONG_TIME


async def _read(parts: Parts, asked: _Asked) -> Page[DatasetRow] | Page[LogRow] | Page[OutboxEntry]:
    views, limit, cursor = parts.dataset_views, ROWS_PER_PAGE, asked.cursor
    match asked.view, asked.bound:
        case DatasetView.STUCK, datetime() as before:
            return await views.stuck(before=before, limit=limit, cursor=cursor)
        case DatasetView.ERRORS, datetime() as since:
            return await views.with_errors(since=since, limit=limit, cursor=cursor)
        case DatasetView.LOG, datetime() as since:
            return await views.logs(asked.type, since=since, limit=limit, cursor=cursor)
        case DatasetView.DISPUTED, _:
            return await views.disputed(limit=limit, cursor=cursor)
        case DatasetView.MESSAGES, _:
            return Page(rows=await parts.outbox.entries(UNSENT_STATES, limit=limit), next=None)
    return await views.pending(limit=limit, cursor=cursor)


async def _given_up(parts: Parts) -> int:
    backlog = await parts.outbox.backlog()
    return sum(count for (_channel, state), count in backlog.items() if state is OutboxState.FAILED)

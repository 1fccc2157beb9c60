"""Lists of dead letters: with filters, the archive, and dry runs."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from jobtrail.models.dead_letters.dead_letter import UNSETTLED, DeadLetter, LetterFilter, LetterKind, LetterState
from jobtrail.models.dead_letters.filter import DeadLetterListFilter
from jobtrail.operations.dead_letters import selection_words
from jobtrail.store.keyset import Page
from jobtrail.web.charts.dead_letters import STATE_WORDS
from jobtrail.web.dead_letters.dry_run import bounded_dry_run
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.dead_letters.act_result import ActQuery
from jobtrail.web.pages.dead_letters.form import LETTERS, Selection
from jobtrail.web.pages.filter_form import read_form
from jobtrail.web.render import query

ROWS_PER_PAGE = 50
ARCHIVE = "/dead-letters/archive"


class ListQuery(ActQuery):
    """What the address of a list says beside its filters."""

    cursor: str = ""


class DryRunQuery(Selection):
    """What stands in the address of a dry run."""

    to: str = ""


router = APIRouter(include_in_schema=False)


@router.get("/dead-letters/letters")
async def letters(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[ListQuery, Query()]
) -> HTMLResponse:
    form = read_form(DeadLetterListFilter, LETTERS, request.query_params)
    page: Page[DeadLetter] = Page(rows=[], next=None)
    if form.wanted is not None:
        page = await parts.letters.list(form.wanted.selection(), limit=ROWS_PER_PAGE, cursor=typed.cursor or None)
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters_list.html",
        form=form,
        may_act_on_all=form.wanted is not None and _is_about_open_ones(form.wanted),
        letters=page.rows,
        first=form.address() if typed.cursor else None,
        older=form.address(cursor=page.next) if page.next else None,
        hidden={name: field.words[-1] for name, field in form.fields.items() if field.words and name != "state"},
        here=form.address(cursor=typed.cursor),
        export=f"/api/v1/dead-letters/export{form.address().removeprefix(LETTERS)}",
        states=STATE_WORDS,
        kinds=[(kind, kind) for kind in LetterKind],
        result=typed.result(),
        queues=parts.settings.captured_queues,
    )


@router.get("/dead-letters/archive")
async def archive(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[ListQuery, Query()]
) -> HTMLResponse:
    wanted = LetterFilter(states=(LetterState.DISCARDED,))
    page = await parts.letters.list(wanted, limit=ROWS_PER_PAGE, cursor=typed.cursor or None)
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters_archive.html",
        letters=page.rows,
        first=ARCHIVE if typed.cursor else None,
        older=f"{ARCHIVE}{query(cursor=page.next)}" if page.next else None,
        here=f"{ARCHIVE}{query(cursor=typed.cursor)}",
        states=STATE_WORDS,
        result=typed.result(),
        days=parts.settings.letter_retention_days,
    )


@router.get("/dead-letters/dry-run")
async def dry_run(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[DryRunQuery, Query()]
) -> HTMLResponse:
    wanted = typed.selection()
    target = typed.to.strip() or None
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters_dry_run.html",
        hidden={name: value for name, value in typed.fields().items() if name != "to"},
        dry_run=await bounded_dry_run(parts, wanted, target),
        target=target,
        selection=selection_words(wanted),
    )


def _is_about_open_ones(wanted: DeadLetterListFilter) -> bool:
    """Whether an act on all that match is about what is shown: acts leave out closed dead letters."""
    return not wanted.state or set(UNSETTLED) <= set(wanted.state)

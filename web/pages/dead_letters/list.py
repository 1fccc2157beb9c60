"""Lists of dead letters: with filters, those in the archive, and what a replay of some would come to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from jobtrail.models.dead_letters.dead_letter import DeadLetter, LetterFilter, LetterKind, LetterState
from jobtrail.operations.dead_letters import selection_words
from jobtrail.store.keyset import Page
from jobtrail.web.charts.dead_letters import STATE_WORDS
from jobtrail.web.dead_letters.dry_run import bounded_dry_run
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.dead_letters.form import LetterQuery, Selection, read_form
from jobtrail.web.pages.dead_letters.told import Told
from jobtrail.web.render import query

ROWS_PER_PAGE = 50
ARCHIVE = "/dead-letters/archive"


class ListQuery(LetterQuery, Told):
    """What stands in the address of a list."""


class ArchiveQuery(Told):
    """What stands in the address of the archive."""

    cursor: str = ""


class DryRunQuery(Selection):
    """What stands in the address of a dry run."""

    to: str = ""


router = APIRouter(include_in_schema=False)


@router.get("/dead-letters/letters")
async def letters(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[ListQuery, Query()]
) -> HTMLResponse:
    form = read_form(LetterQuery(**typed.model_dump(exclude={"told", "count"})), datetime.now(UTC))
    page: Page[DeadLetter] = Page(rows=[], next=None)
    if not form.problems:
        page = await parts.letters.list(form.wanted, limit=ROWS_PER_PAGE, cursor=typed.cursor or None)
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters_list.html",
        form=form,
        letters=page.rows,
        first=form.typed.address() if typed.cursor else None,
        older=form.typed.address(cursor=page.next) if page.next else None,
        hidden=_told(form.typed),
        here=form.typed.address(cursor=typed.cursor),
        export=f"/api/v1/dead-letters/export{query(**form.typed.model_dump(exclude={'cursor'}))}",
        states=STATE_WORDS,
        kinds=tuple(LetterKind),
        told=typed.words(),
        queues=parts.settings.captured_queues,
    )


@router.get("/dead-letters/archive")
async def archive(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[ArchiveQuery, Query()]
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
        told=typed.words(),
        days=parts.settings.letter_retention_days,
    )


@router.get("/dead-letters/dry-run")
async def dry_run(
    parts: AppParts, request: Request, identity: Operator, typed: Annotated[DryRunQuery, Query()]
) -> HTMLResponse:
    wanted = typed.wanted(datetime.now(UTC))
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


def _told(typed: LetterQuery) -> Mapping[str, str]:
    """Return the filters that acts know, and that say something."""
    return {name: value for name, value in typed.model_dump(exclude={"state", "cursor"}).items() if value}

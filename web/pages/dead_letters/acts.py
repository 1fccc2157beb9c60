"""The acts of the pages of dead letters. Each redirects to a page, so that a reload repeats nothing."""

import json
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from pydantic import BaseModel

from jobtrail.deadletters.editing import masked_body
from jobtrail.deadletters.properties import Json
from jobtrail.models.errors import BusyError, NotFoundError, SettingError, TooLateError
from jobtrail.operations.dead_letters import MessageEdit
from jobtrail.web.dependencies import AppParts, Operator
from jobtrail.web.pages.dead_letters.act_result import back_with_result
from jobtrail.web.pages.dead_letters.form import LETTERS, Selection
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId, address, local_path
from jobtrail.web.render import query


class Act(Selection):
    """An act on dead letters, as a form sends it."""

    next: str = LETTERS
    """The page to return to."""
    why: str = ""
    to: str = ""
    rate: str = ""
    how: str = "staged"
    repeated: str = ""
    """Whether possible repetitions are included."""


class EditForm(BaseModel):
    """An edit, as a form sends it: the whole body, or one field; or one header."""

    body: str | None = None
    field: str = ""
    header: str = ""
    value: str = ""
    how: str = "set"
    """`set`, or `remove`."""


router = APIRouter(include_in_schema=False)


@router.post("/dead-letters/dry-run")
async def dry_run(asked: Annotated[Act, Form()]) -> RedirectResponse:
    # A form of ticks can't be a GET: its CSRF token would be in the address.
    asked.selection()
    return _on(f"/dead-letters/dry-run{query(**asked.fields(), to=asked.to)}")


@router.post("/dead-letters/replay")
async def replay(parts: AppParts, identity: Operator, asked: Annotated[Act, Form()]) -> RedirectResponse:
    wanted = asked.selection()
    try:
        begun = await parts.dead_letter_acts.replay(
            identity,
            wanted,
            target=asked.to.strip() or None,
            rate=_rate(asked.rate),
            staged=asked.how != "at-once",
            include_repeated=bool(asked.repeated),
        )
    except BusyError:
        return _on(f"/dead-letters/held{query(**asked.fields())}")
    except NotFoundError:
        return _on(back_with_result(local_path(asked.next), "nothing"))
    return _on(address("dead-letters", "replays", begun.id))


@router.post("/dead-letters/discard")
async def discard(parts: AppParts, identity: Operator, asked: Annotated[Act, Form()]) -> RedirectResponse:
    wanted = asked.selection()
    try:
        count = await parts.dead_letter_acts.discard(identity, wanted, asked.why)
    except BusyError:
        return _on(f"/dead-letters/held{query(**asked.fields())}")
    return _on(back_with_result(local_path(asked.next), "discarded", count))


@router.post("/dead-letters/restore")
async def restore(parts: AppParts, identity: Operator, asked: Annotated[Act, Form()]) -> RedirectResponse:
    count = await parts.dead_letter_acts.restore(identity, asked.selection())
    return _on(back_with_result(local_path(asked.next), "restored", count))


@router.post("/dead-letters/import")
async def take_in(parts: AppParts, identity: Operator, file: Annotated[UploadFile, File()]) -> RedirectResponse:
    new, _known = await parts.dead_letter_acts.import_(identity, file.file)
    return _on(back_with_result(LETTERS, "imported", new))


@router.get("/dead-letters/held")
async def held(
    parts: AppParts,
    request: Request,
    identity: Operator,
    asked: Annotated[Selection, Query()],
) -> Response:
    return await parts.renderer.page(
        request,
        identity,
        "dead_letters_held.html",
        replay=await parts.replays.holder_of(asked.selection()),
        back=_page_of(asked),
    )


@router.post("/dead-letters/groups/{group_id}/note")
async def note(
    parts: AppParts, group_id: PathId, identity: Operator, note: Annotated[str, Form(max_length=2000)] = ""
) -> RedirectResponse:
    await parts.dead_letter_acts.note(identity, group_id, note)
    return _on(back_with_result(address("dead-letters", "groups", group_id), "noted" if note.strip() else "unnoted"))


@router.post("/dead-letters/replays/{replay_id}/cancel")
async def cancel(parts: AppParts, replay_id: PathId, identity: Operator) -> RedirectResponse:
    here = address("dead-letters", "replays", replay_id)
    try:
        await parts.dead_letter_acts.cancel(identity, replay_id)
    except TooLateError:
        return _on(back_with_result(here, "too-late"))
    return _on(back_with_result(here, "cancelling"))


@router.post("/dead-letters/{letter_id}/edit")
async def edit(
    parts: AppParts, letter_id: PathId, identity: Operator, asked: Annotated[EditForm, Form()]
) -> RedirectResponse:
    here = address("dead-letters", letter_id)
    try:
        await parts.dead_letter_acts.edit(identity, letter_id, await _change(parts, letter_id, asked))
    except TooLateError:
        return _on(back_with_result(here, "closed"))
    return _on(back_with_result(here, "edited"))


@router.post("/dead-letters/{letter_id}/revert")
async def revert(parts: AppParts, letter_id: PathId, identity: Operator) -> RedirectResponse:
    here = address("dead-letters", letter_id)
    try:
        await parts.dead_letter_acts.revert(identity, letter_id)
    except TooLateError:
        return _on(back_with_result(here, "closed"))
    return _on(back_with_result(here, "reverted"))


async def _change(parts: Parts, letter_id: str, asked: EditForm) -> MessageEdit:
    value = None if asked.how == "remove" else _value(asked.value)
    if asked.field.strip():
        return MessageEdit(fields={asked.field.strip(): value})
    if asked.header.strip():
        return MessageEdit(headers={asked.header.strip(): value})
    if asked.body is None:
        raise SettingError("nothing to change: name a field or a header")
    return MessageEdit(body=_as_it_was(asked.body, masked_body((await parts.letters.get(letter_id)).outgoing[0])))


def _as_it_was(text: str, shown: str | None) -> str:
    """Undo what a browser does to line breaks; an unchanged text keeps its own."""
    text = text.replace("\r\n", "\n")
    return shown if shown is not None and shown.replace("\r\n", "\n") == text else text


def _value(text: str) -> Json:
    """Read a value as JSON if it is valid, else as text."""
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value


def _rate(text: str) -> float | None:
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError as error:
        raise SettingError(f"the rate is a number per second, not {text[:40]!r}") from error


def _page_of(asked: Selection) -> str:
    """Return the page of a selection."""
    if asked.group and not asked.id:
        return address("dead-letters", "groups", asked.group)
    return address("dead-letters", asked.id[0]) if len(asked.id) == 1 else LETTERS


def _on(path: str) -> RedirectResponse:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)

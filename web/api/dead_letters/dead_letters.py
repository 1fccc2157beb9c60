"""Dead letters: list, show, dry run, edit, discard, restore, export, import. For operators only."""

from collections.abc import AsyncIterator, Sequence
from io import BytesIO
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field, JsonValue, model_validator

from jobtrail.deadletters.archive import export_line
from jobtrail.models.dead_letters.dead_letter import DeadLetter
from jobtrail.models.errors import TooBroadError
from jobtrail.operations.dead_letter_view import look_at
from jobtrail.operations.dead_letters import MessageEdit
from jobtrail.operations.schemas.base import Schema
from jobtrail.operations.schemas.dead_letters import CountSchema, DryRunSchema, LetterDetailSchema, LetterListSchema
from jobtrail.web.api.answers import answer, documented, next_link
from jobtrail.web.api.dead_letters.selection import (
    AskedDiscard,
    AskedDryRun,
    AskedLetters,
    AskedSelection,
    SelectionSchema,
)
from jobtrail.web.api.examples import dead_letters as examples
from jobtrail.web.dead_letters.dry_run import MAX_JUDGED, bounded_dry_run
from jobtrail.web.dependencies import AppParts, Operator, get_operator
from jobtrail.web.parts import Parts
from jobtrail.web.paths import PathId
from jobtrail.web.problem import problems

MEDIA_TYPE = "application/x-ndjson"
_LINES: dict[str, object] = {"schema": {"type": "string"}, "example": examples.EXPORT}

_EXPORTED: dict[int | str, dict[str, object]] = {
    200: {"description": "One dead letter per line, the oldest first.", "content": {MEDIA_TYPE: _LINES}}
}


class Lines(StreamingResponse):
    """JSON, line by line."""

    media_type = MEDIA_TYPE


class EditSchema(Schema):
    """What a replay sends instead: a whole body, or single fields of it; and headers."""

    body: str | None = Field(
        None, description="The whole body. Secrets that are still masked as they were shown stay unchanged."
    )
    fields: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="Values by field of a JSON body; a dotted name reaches into objects, null removes a field.",
        examples=[{"start": "2026-11-22T00:14:36Z"}],
    )
    headers: dict[str, JsonValue] = Field(
        default_factory=dict, description="Values by header; null removes a header.", examples=[{"x-try": 2}]
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.body is not None and self.fields:
            raise ValueError("send the whole body or fields of it, not both")
        if self.body is None and not self.fields and not self.headers:
            raise ValueError("send a body, fields or headers")
        return self


router = APIRouter(prefix="/dead-letters", tags=["dead letters"], dependencies=[Depends(get_operator)])


@router.get("", summary="List dead letters", **documented(examples.LETTER_LIST, 400))
async def letters(parts: AppParts, request: Request, asked: Annotated[AskedLetters, Query()]) -> Response:
    """The latest captured first, without their bytes. A search that is too wide ends after five seconds."""
    page = await parts.letters.list(asked.selection(), limit=asked.limit, cursor=asked.cursor)
    return answer(LetterListSchema.model_validate(page), next_link(request, page.next))


@router.get(
    "/export",
    summary="Export dead letters",
    response_class=Lines,
    responses=_EXPORTED | problems(400, 401, 403, 503),
)
async def export(parts: AppParts, asked: Annotated[AskedSelection, Query()], identity: Operator) -> StreamingResponse:
    """Bytes, properties and all, line by line (JSON Lines), as `POST /dead-letters/import` takes them.

    **Secrets are not masked.** Each export is recorded in the audit log.
    """
    _count, chunks = await parts.dead_letter_acts.export(identity, asked.selection())
    headers = {"Content-Disposition": 'attachment; filename="dead-letters.jsonl"'}
    return Lines(_exported(chunks), headers=headers)


@router.post("/dry-run", summary="Try a replay", **documented(examples.DRY_RUN, 400, 413, 415))
async def dry_run(parts: AppParts, asked: AskedDryRun) -> Response:
    """Tells what a replay would do with the current decoder, checks and state machine; nothing is changed.

    For up to 20,000 dead letters; for more, use `jobtrail deadletters replay --dry-run`.
    """
    result = await bounded_dry_run(parts, asked.selection(), asked.to, include_repeated=asked.include_repeated)
    if not result.is_whole:
        raise TooBroadError(
            f"these are more than {MAX_JUDGED:,} dead letters: narrow the selection, or use "
            "`jobtrail deadletters replay --dry-run` for all of them"
        )
    return answer(DryRunSchema.of(result))


@router.post("/discard", summary="Discard dead letters", **documented(examples.COUNT, 400, 409, 413, 415))
async def discard(parts: AppParts, asked: AskedDiscard, identity: Operator) -> Response:
    """Archives dead letters that are open, or whose outcome is unknown; they can be restored.

    409 means that a replay holds some of them, and who requested it.
    """
    return answer(CountSchema(count=await parts.dead_letter_acts.discard(identity, asked.selection(), asked.why)))


@router.post("/restore", summary="Restore dead letters", **documented(examples.COUNT, 400, 413, 415))
async def restore(parts: AppParts, asked: SelectionSchema, identity: Operator) -> Response:
    """Reopens archived dead letters."""
    return answer(CountSchema(count=await parts.dead_letter_acts.restore(identity, asked.selection())))


@router.post(
    "/import",
    summary="Import dead letters",
    openapi_extra={"requestBody": {"required": True, "content": {MEDIA_TYPE: _LINES}}},
    **documented(examples.COUNT, 400, 413),
)
async def take_in(parts: AppParts, request: Request, identity: Operator) -> Response:
    """Takes exported dead letters, up to 16 MiB at a time, and returns how many are new; all of them are open.

    Known ones are skipped, so the same lines can be sent again. If one line is not a dead letter, nothing is
    imported.
    """
    new, _known = await parts.dead_letter_acts.import_(identity, BytesIO(await request.body()))
    return answer(CountSchema(count=new))


# Fixed paths go before the path of any id.
@router.get("/{letter_id}", summary="Show a dead letter", **documented(examples.LETTER, 400, 404))
async def letter(parts: AppParts, letter_id: PathId) -> Response:
    """Its body and properties with secrets masked, the reason, and what a replay would do today."""
    return await _shown(parts, letter_id)


@router.put("/{letter_id}/edit", summary="Edit a dead letter", **documented(examples.LETTER, 400, 404, 409, 413, 415))
async def edit(parts: AppParts, letter_id: PathId, asked: EditSchema, identity: Operator) -> Response:
    """Changes what a replay will send; the original bytes stay. Edits add up.

    409 means that it was sent, is about to be sent, or is closed.
    """
    change = MessageEdit(body=asked.body, fields=asked.fields, headers=asked.headers)
    await parts.dead_letter_acts.edit(identity, letter_id, change)
    return await _shown(parts, letter_id)


@router.delete(
    "/{letter_id}/edit", summary="Revert the edits of a dead letter", **documented(examples.LETTER, 400, 404, 409)
)
async def revert(parts: AppParts, letter_id: PathId, identity: Operator) -> Response:
    """Lets a replay send the original bytes again."""
    await parts.dead_letter_acts.revert(identity, letter_id)
    return await _shown(parts, letter_id)


async def _shown(parts: Parts, letter_id: str) -> Response:
    return answer(LetterDetailSchema.model_validate(await look_at(parts.settings, parts.database, letter_id)))


async def _exported(chunks: AsyncIterator[Sequence[DeadLetter]]) -> AsyncIterator[str]:
    async for some in chunks:
        yield "".join(f"{export_line(letter)}\n" for letter in some)

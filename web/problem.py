"""Problem details (RFC 9457): errors for programs."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

MEDIA_TYPE = "application/problem+json"

_MEANINGS = {
    400: "Something that was sent can't be used; `errors` tells what.",
    401: "A token is needed, or the one that was sent opens nothing.",
    403: "This token may not do that.",
    404: "There is nothing of that name.",
    409: "It is too late for that, or somebody else is at it.",
    413: "The body is too large.",
    415: "The body is of another type than JSON.",
    503: "The database or the broker can't be reached; try again.",
}


class Flaw(BaseModel):
    """What is wrong with one thing that was sent."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    place: str = Field(serialization_alias="in", description="query, path, header or body.", examples=["query"])
    name: str = Field(description="The parameter, or the field of the body.", examples=["status"])
    detail: str = Field(description="What is wrong.", examples=["'done!' is not a status"])


class Problem(BaseModel):
    """Why a request was not answered, as RFC 9457 writes it."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    type: str = Field("about:blank", description="Always about:blank: the status says it all.")
    title: str = Field(description="The status in words.", examples=["Not Found"])
    status: int = Field(description="The HTTP status.", examples=[404])
    detail: str = Field(description="What exactly, for people.", examples=["there is no job 'job-7'"])
    errors: list[Flaw] | None = Field(None, description="What is wrong with what was sent, one by one.")


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, flaws: Sequence[Flaw] = ()
) -> JSONResponse:
    """Make the answer of a problem; `detail` must hold no secrets."""
    content = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(flaws) or None)
    return JSONResponse(content.model_dump(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Describe problems by status, as FastAPI's `responses`; `web.api.openapi` adds the schema that this names."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": _example(status)}},
        }
        for status in statuses
    }


def _example(status: int) -> dict[str, object]:
    example: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _EXAMPLES[status],
    }
    if status == HTTPStatus.BAD_REQUEST:
        example["errors"] = [{"in": "query", "name": "status.0", "detail": "'fast' is not a status"}]
    return example


_EXAMPLES = {
    400: "status.0: 'fast' is not a status",
    401: "The token is unknown, revoked or expired.",
    403: "This needs a token with the role operator.",
    404: "there is no job 'job-7'",
    409: "job job-7 has ended already: SUCCEEDED",
    413: "The body must not exceed 1048576 bytes.",
    415: "Send the body as application/json.",
    503: "The database can't be reached; try again.",
}

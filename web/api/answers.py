"""How REST answers: the JSON of a schema, made once, and the way to the next page."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypedDict
from urllib.parse import urlencode

from fastapi import Request, Response

from jobtrail.operations.schemas.base import Schema
from jobtrail.web.problem import problems


class Documented(TypedDict):
    """What FastAPI is told of an endpoint's answers."""

    response_model: type[Schema]
    status_code: int
    responses: dict[int | str, dict[str, object]]


def documented(example: Schema, *problem_statuses: int, status: int = HTTPStatus.OK) -> Documented:
    """Describe the answers of an endpoint, for OpenAPI."""
    answers: dict[int | str, dict[str, object]] = {
        # As text, since FastAPI leaves out nulls; `web.api.openapi` reads it.
        int(status): {"content": {"application/json": {"example": example.model_dump_json(by_alias=True)}}}
    }
    return {
        "response_model": type(example),
        "status_code": int(status),
        "responses": answers | problems(*sorted({*problem_statuses, 401, 403, 503})),
    }


def answer(told: Schema, headers: Mapping[str, str] | None = None, status: int = HTTPStatus.OK) -> Response:
    """Make an answer. As it is a response already, FastAPI does not validate it once more."""
    return Response(told.model_dump_json(by_alias=True), status, headers, "application/json")


def links(request: Request, **pages: Mapping[str, object] | None) -> dict[str, str]:
    """Make the header `Link` (RFC 8288) that leads to other pages of a list."""
    told = [f'<{_address(request, chosen)}>; rel="{relation}"' for relation, chosen in pages.items() if chosen]
    return {"Link": ", ".join(told)} if told else {}


def next_link(request: Request, cursor: str | None) -> dict[str, str]:
    """Make the header `Link` that leads to the next page."""
    return links(request, next={"cursor": cursor} if cursor else None)


_PLACE = frozenset({"cursor", "after", "before"})
"""Parameters that choose a page."""


def _address(request: Request, chosen: Mapping[str, object]) -> str:
    path = request.scope["raw_path"].decode("ascii")
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in _PLACE]
    return f"{path}?{urlencode([*kept, *chosen.items()])}"

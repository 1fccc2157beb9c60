"""Answers of REST: the JSON of a schema, and links to other pages of a list."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TypedDict
from urllib.parse import urlencode

from fastapi import Request, Response

from jobtrail.operations.schemas.base import Schema
from jobtrail.web.problem import problems


class Documented(TypedDict):
    """Arguments of a route that describe its answers."""

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


def answer(content: Schema, headers: Mapping[str, str] | None = None, status: int = HTTPStatus.OK) -> Response:
    """Make an answer; as a finished response, FastAPI does not validate it again."""
    return Response(content.model_dump_json(by_alias=True), status, headers, "application/json")


def links(request: Request, **pages: Mapping[str, object] | None) -> dict[str, str]:
    """Make the header `Link` (RFC 8288) to other pages, by relation; pages that are None are left out."""
    found = [f'<{_address(request, chosen)}>; rel="{relation}"' for relation, chosen in pages.items() if chosen]
    return {"Link": ", ".join(found)} if found else {}


def next_link(request: Request, cursor: str | None) -> dict[str, str]:
    """Make the header `Link` to the next page, if there is one."""
    return links(request, next={"cursor": cursor} if cursor else None)


_PLACE = frozenset({"cursor", "after", "before"})
"""Parameters that choose a page."""


def _address(request: Request, chosen: Mapping[str, object]) -> str:
    path = request.scope["raw_path"].decode("ascii")
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in _PLACE]
    return f"{path}?{urlencode([*kept, *chosen.items()])}"

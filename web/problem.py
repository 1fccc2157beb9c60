"""Errors as answers: problem details (RFC 9457) for programs, pages for people."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from jobtrail.models.errors import (
    BrokerError,
    BusyError,
    NotFoundError,
    SettingError,
    StoreError,
    TooBroadError,
    TooLateError,
)
from jobtrail.web.error_page import error_page, is_page
from jobtrail.web.render import Renderer

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"

_RETRY_AFTER = {"Retry-After": "5"}
_MAX_FLAWS = 20
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_STATUS_OF: Mapping[type[Exception], HTTPStatus] = {
    SettingError: HTTPStatus.BAD_REQUEST,
    TooBroadError: HTTPStatus.BAD_REQUEST,
    NotFoundError: HTTPStatus.NOT_FOUND,
    TooLateError: HTTPStatus.CONFLICT,
    BusyError: HTTPStatus.CONFLICT,
}
"""Errors whose text is meant for the client."""
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
    told = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(flaws) or None)
    return JSONResponse(told.model_dump(exclude_none=True), status, headers, media_type=MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Describe problems by status, as FastAPI's `responses`; `web.api.openapi` adds the schema that this names."""
    return {
        status: {
            "description": _MEANINGS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": _example(status)}},
        }
        for status in statuses
    }


def register_error_handlers(app: FastAPI, renderer: Renderer) -> None:
    """Register the handlers that answer every error: with a page for people, with a problem for programs."""

    async def tell(
        request: Request,
        status: int,
        detail: str,
        headers: Mapping[str, str] | None = None,
        flaws: Sequence[Flaw] = (),
    ) -> Response:
        if is_page(request.scope["path"]):
            return await error_page(renderer, request, status, detail, headers)
        return problem(status, detail, headers, flaws)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers = {"Allow": ", ".join(_allowed(request, app.routes))}
        return await tell(request, error.status_code, error.detail, headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, error: RequestValidationError) -> Response:
        flaws = [_flaw(each["loc"], str(each["msg"])) for each in error.errors()[:_MAX_FLAWS]]
        is_form_expected = is_page(request.scope["path"])
        if any(flaw.place == "body" for flaw in flaws) and not is_form_expected and not _is_json(request):
            return await tell(request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.")
        words = "; ".join(f"{flaw.name or flaw.place}: {flaw.detail}" for flaw in flaws)
        return await tell(request, HTTPStatus.BAD_REQUEST, words, flaws=flaws)

    async def not_done(status: HTTPStatus, request: Request, error: Exception) -> Response:
        return await tell(request, status, str(error))

    for kind, status in _STATUS_OF.items():
        app.add_exception_handler(kind, partial(not_done, status))

    @app.exception_handler(StoreError)
    async def without_database(request: Request, error: StoreError) -> Response:
        log.warning("No database", action="web.no_database", error=str(error))
        detail = "The database can't be reached; try again."
        return await tell(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, _RETRY_AFTER)

    @app.exception_handler(BrokerError)
    async def without_broker(request: Request, error: BrokerError) -> Response:
        log.warning("No broker", action="web.no_broker", error=str(error))
        detail = "RabbitMQ can't be reached; try again."
        return await tell(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, _RETRY_AFTER)

    @app.exception_handler(Exception)
    async def failed(request: Request, _error: Exception) -> Response:
        # The server logs the error, with its traceback.
        return await tell(request, HTTPStatus.INTERNAL_SERVER_ERROR, "That failed; the server's log says why.")


def _allowed(request: Request, routes: Iterable[BaseRoute]) -> list[str]:
    """Find the methods of a path: it may have a route for each."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    every = list(routes)
    return [method for method, scope in scopes.items() if any(route.matches(scope)[0] is Match.FULL for route in every)]


def _flaw(location: Sequence[int | str], words: str) -> Flaw:
    place, *names = location
    return Flaw(place=str(place), name=".".join(map(str, names)), detail=words.removeprefix("Value error, "))


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _example(status: int) -> dict[str, object]:
    told: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _EXAMPLES[status],
    }
    if status == HTTPStatus.BAD_REQUEST:
        told["errors"] = [{"in": "query", "name": "status.0", "detail": "'fast' is not a status"}]
    return told


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

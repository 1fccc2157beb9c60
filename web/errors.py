"""Every error as an answer: a page for people, problem details for programs."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from jobtrail.models.errors import (
    BrokerError,
    BusyError,
    NotFoundError,
    SettingError,
    StoreError,
    TooBroadError,
    TooLateError,
)
from jobtrail.web.dependencies import get_parts
from jobtrail.web.error_page import error_page, is_page
from jobtrail.web.problem import Flaw, problem

log = structlog.get_logger()

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


def add_error_handlers(app: FastAPI) -> None:
    """Let an application answer every error."""
    app.exception_handler(HTTPException)(_answer_refusal)
    app.exception_handler(RequestValidationError)(_answer_invalid)
    app.exception_handler(StoreError)(_answer_without_database)
    app.exception_handler(BrokerError)(_answer_without_broker)
    app.exception_handler(Exception)(_answer_failure)
    for kind in _STATUS_OF:
        app.exception_handler(kind)(_answer_by_text)


async def _answer(
    request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None, flaws: Sequence[Flaw] = ()
) -> Response:
    if is_page(request.scope["path"]):
        parts = await get_parts(request)
        return await error_page(parts.renderer, request, status, detail, headers)
    return problem(status, detail, headers, flaws)


async def _answer_refusal(request: Request, error: HTTPException) -> Response:
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(_allowed_methods(request))}
    return await _answer(request, error.status_code, error.detail, headers)


async def _answer_invalid(request: Request, error: RequestValidationError) -> Response:
    flaws = [_flaw(each["loc"], str(each["msg"])) for each in error.errors()[:_MAX_FLAWS]]
    is_form_expected = is_page(request.scope["path"])
    if any(flaw.place == "body" for flaw in flaws) and not is_form_expected and not _is_json(request):
        return await _answer(request, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json.")
    words = "; ".join(f"{flaw.name or flaw.place}: {flaw.detail}" for flaw in flaws)
    return await _answer(request, HTTPStatus.BAD_REQUEST, words, flaws=flaws)


async def _answer_by_text(request: Request, error: Exception) -> Response:
    status = next(status for kind, status in _STATUS_OF.items() if isinstance(error, kind))
    return await _answer(request, status, str(error))


async def _answer_without_database(request: Request, error: StoreError) -> Response:
    log.warning("No database", action="web.no_database", error=str(error))
    detail = "The database can't be reached; try again."
    return await _answer(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, _RETRY_AFTER)


async def _answer_without_broker(request: Request, error: BrokerError) -> Response:
    log.warning("No broker", action="web.no_broker", error=str(error))
    detail = "RabbitMQ can't be reached; try again."
    return await _answer(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, _RETRY_AFTER)


async def _answer_failure(request: Request, _error: Exception) -> Response:
    # The server logs the error, with its traceback.
    return await _answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, "That failed; the server's log says why.")


def _allowed_methods(request: Request) -> list[str]:
    """Find the methods of a path, each of which may have a route of its own."""
    scopes = {method: {**request.scope, "method": method} for method in _METHODS}
    routes = request.app.routes
    return [method for method in _METHODS if any(route.matches(scopes[method])[0] is Match.FULL for route in routes)]


def _flaw(location: Sequence[int | str], words: str) -> Flaw:
    place, *names = location
    return Flaw(place=str(place), name=".".join(map(str, names)), detail=words.removeprefix("Value error, "))


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))

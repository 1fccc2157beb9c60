"""Errors as pages, for people; programs get problem details (`web.problem`)."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse

from jobtrail.web.render import Renderer

_FOR_PROGRAMS = ("/api/", "/pusher/", "/static/")
_TITLES = {
    HTTPStatus.FORBIDDEN: "You don't have permission",
    HTTPStatus.NOT_FOUND: "Page not found",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is unavailable",
}


def is_page(path: str) -> bool:
    """Tell whether a path belongs to a page, which people read."""
    return not path.startswith(_FOR_PROGRAMS) and path not in ("/health", "/live")


async def error_page(
    renderer: Renderer, request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Make the page of an error; `detail` must hold no secrets."""
    # The bar on top counts unread notifications, which fails where the database is what is missing.
    is_healthy = status < HTTPStatus.INTERNAL_SERVER_ERROR
    identity = getattr(request.state, "identity", None) if is_healthy else None
    title = _TITLES.get(HTTPStatus(status), HTTPStatus(status).phrase)
    return await renderer.page(
        request, identity, "error.html", status=status, headers=headers, title=title, detail=detail
    )

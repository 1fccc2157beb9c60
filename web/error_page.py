"""Errors of pages, as pages; what `/api/` answers are problem details (`web.problem`)."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse

from jobtrail.web.render import Renderer

_FOR_PROGRAMS = ("/api/", "/pusher/", "/static/")
_TITLES = {
    HTTPStatus.FORBIDDEN: "That is not yours to do",
    HTTPStatus.NOT_FOUND: "There is nothing here",
    HTTPStatus.INTERNAL_SERVER_ERROR: "That failed",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database is away",
}


def is_page(path: str) -> bool:
    """Tell whether what a path names is for people.

    Args:
        path: The path.
    """
    return not path.startswith(_FOR_PROGRAMS) and path not in ("/health", "/live")


async def error_page(
    renderer: Renderer, request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Make the page that tells an error.

    Args:
        renderer: Makes pages.
        request: The request.
        status: The HTTP status.
        detail: What exactly, for people, without secrets.
        headers: Headers to send with it.

    Returns:
        The page.
    """
    # The bar on top counts unread notifications: not where a database may be what is missing.
    is_healthy = status < HTTPStatus.INTERNAL_SERVER_ERROR
    identity = getattr(request.state, "identity", None) if is_healthy else None
    title = _TITLES.get(HTTPStatus(status), HTTPStatus(status).phrase)
    return await renderer.page(
        request, identity, "error.html", status=status, headers=headers, title=title, detail=detail
    )

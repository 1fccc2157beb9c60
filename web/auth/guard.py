"""Checks of every request, whoever sends it: its host, the page that it comes from, its size."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobtrail.web.auth.hosts import Origin, is_ours, origin_from
from jobtrail.web.auth.identity import bearer_token

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""
MAX_BODY_BYTES = 1024 * 1024
"""Hardly a request needs more; a larger one is refused before it fills the memory."""
MAX_IMPORT_BYTES = 16 * 1024 * 1024
"""Imported dead letters may be larger."""
_IMPORTS = frozenset({"/dead-letters/import", "/api/v1/dead-letters/import"})

_FROM_OUR_PAGES = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of requests from our own pages and from the address bar."""


class Guard:
    """Refuses requests for a foreign host (421), changes from another site (403), and too large bodies (413)."""

    def __init__(self, app: ASGIApp, public: Origin | None) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope)
        requested = origin_from(f"{scope['scheme']}://{request.headers.get('Host', '')}")
        if requested is None or not await is_ours(requested.host, self._public):
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                "JobTrail does not serve the host that this request names. If browsers reach it by that name, set "
                "JOBTRAIL_WEB_URL to its address, such as https://jobtrail.example.org.",
            )
        if request.method not in SAFE_METHODS and bearer_token(request) is None:
            # A browser never adds a bearer token by itself, so a request with one is not from a foreign page.
            self._refuse_foreign_pages(request.headers, requested)
        max_bytes = MAX_IMPORT_BYTES if scope["path"] in _IMPORTS else MAX_BODY_BYTES
        await self._app(scope, _bounded(receive, request.headers, max_bytes), send)

    def _refuse_foreign_pages(self, headers: Headers, requested: Origin) -> None:
        sent = headers.get("Origin")
        ours = {requested} if self._public is None else {requested, self._public}
        is_foreign = sent is not None and origin_from(sent) not in ours
        if is_foreign or headers.get("Sec-Fetch-Site", "none").lower() not in _FROM_OUR_PAGES:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "A page of another site sent this change. If that is JobTrail's own page, set JOBTRAIL_WEB_URL to "
                "the address by which browsers reach it.",
            )


def _bounded(receive: Receive, headers: Headers, max_bytes: int) -> Receive:
    """Refuse a body beyond the bound."""
    length = headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(max_bytes)
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > max_bytes:
            raise _too_large(max_bytes)
        return message

    return receive_bounded


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body must not exceed {max_bytes} bytes.")

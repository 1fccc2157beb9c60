"""What holds for every request, whoever sends it: which host it is for, whose page it comes from, how large it is."""

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
"""Hardly a request needs more; one that is larger is refused before it fills the memory."""
MAX_IMPORT_BYTES = 16 * 1024 * 1024
"""What dead letters are imported from may be larger."""
_IMPORTS = frozenset({"/dead-letters/import", "/api/v1/dead-letters/import"})

_FROM_OUR_PAGES = frozenset({"same-origin", "none"})
"""What browsers say of a request that one of our own pages makes, or that somebody typed in."""


class Guard:
    """Refuses requests for a foreign host (421), changes from another site (403), and too large bodies (413)."""

    def __init__(self, app: ASGIApp, public: Origin | None) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        request = Request(scope)
        asked = origin_from(f"{scope['scheme']}://{request.headers.get('Host', '')}")
        if asked is None or not await is_ours(asked.host, self._public):
            raise HTTPException(
                HTTPStatus.MISDIRECTED_REQUEST,
                "JobTrail does not go by the name that this request asks for. If browsers are to reach it so, set "
                "JOBTRAIL_WEB_URL to it, such as https://jobtrail.example.org.",
            )
        if request.method not in SAFE_METHODS and bearer_token(request) is None:
            # A browser never adds a bearer token by itself, so who has one is no foreign page.
            self._refuse_foreign_pages(request.headers, asked)
        most_bytes = MAX_IMPORT_BYTES if scope["path"] in _IMPORTS else MAX_BODY_BYTES
        await self._app(scope, _bounded(receive, request.headers, most_bytes), send)

    def _refuse_foreign_pages(self, headers: Headers, asked: Origin) -> None:
        told = headers.get("Origin")
        ours = {asked} if self._public is None else {asked, self._public}
        is_foreign = told is not None and origin_from(told) not in ours
        if is_foreign or headers.get("Sec-Fetch-Site", "none").lower() not in _FROM_OUR_PAGES:
            raise HTTPException(
                HTTPStatus.FORBIDDEN,
                "A page of another site asked for this change. If that is JobTrail's own page, set JOBTRAIL_WEB_URL to "
                "the address at which browsers see it.",
            )


def _bounded(receive: Receive, headers: Headers, most_bytes: int) -> Receive:
    """Read a body up to the bound."""
    length = headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most_bytes:
            raise _too_large(most_bytes)
        return message

    return receive_bounded


def _too_large(most_bytes: int) -> HTTPException:
    return HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body must not exceed {most_bytes} bytes.")

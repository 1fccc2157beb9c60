"""Authentication and authorization, for every path before a route is chosen.

Deny by default: unlisted routes need authentication, changes an operator, forms a CSRF token.
"""

from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobtrail.web.auth.guard import SAFE_METHODS
from jobtrail.web.auth.identity import Authenticator, Identity, bearer_token, require_operator, unauthorized
from jobtrail.web.error_page import is_page

CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"

_PUBLIC = frozenset({"/health", "/login"})
_NO_CHANGE = frozenset({"/logout", "/pusher/auth"})
"""Viewers may post here: it changes nothing that others see."""
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class AuthMiddleware:
    """Lets authenticated clients in, as `request.state.identity`, and lets operators change something."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; refuse it with 401 without a valid token, with 403 without the role or the CSRF token."""
        if is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        identity = await self._authenticator.recognise(request)
        if identity is None:
            await _show_login(request)(scope, receive, send)
            return
        request.state.identity = identity
        if request.method not in SAFE_METHODS:
            if scope["path"] not in _NO_CHANGE:
                require_operator(identity)
            receive = await _check_csrf(request, identity)
        await self._app(scope, receive, send)


def is_public(path: str) -> bool:
    """Tell whether a path needs no authentication."""
    return path in _PUBLIC or path.startswith("/static/")


def _show_login(request: Request) -> RedirectResponse:
    """Redirect browsers to the login page; refuse programs with 401."""
    if not is_page(request.scope["path"]) or "text/html" not in request.headers.get("Accept", ""):
        raise unauthorized("This needs a token: Authorization: Bearer jt_…")
    if request.method not in SAFE_METHODS:
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    path, query = request.scope["raw_path"], request.scope["query_string"]
    wanted = path + b"?" + query if query else path
    return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", HTTPStatus.SEE_OTHER)


async def _check_csrf(request: Request, identity: Identity) -> Receive:
    """Refuse a change that a browser may have been tricked into; return what reads the body, which may be read already.

    Only programs send a bearer token. JSON without a session comes from a program on this machine: another site's page
    can't send it, as the browser's CORS preflight is refused.
    """
    is_form = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() in _FORMS
    if bearer_token(request) is not None or not (is_form or request.cookies):
        return request.receive
    shown = request.headers.get(CSRF_HEADER)
    receive = request.receive
    if shown is None and is_form:
        body = await request.body()
        receive = _again(body, request.receive)
        async with Request(request.scope, _again(body, request.receive)).form() as form:
            shown = str(form.get(CSRF_FIELD, ""))
    if not compare_digest((shown or "").encode(), identity.csrf_token.encode()):
        raise HTTPException(
            HTTPStatus.FORBIDDEN,
            "The form is out of date: reload the page and send it again. (Programs send a bearer token, or the page's "
            f"token as {CSRF_FIELD} or {CSRF_HEADER}.)",
        )
    return receive


def _again(body: bytes, receive: Receive) -> Receive:
    """Replay a body that was read; whatever follows, such as a disconnect, comes from the connection."""
    is_read = False

    async def receive_again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again

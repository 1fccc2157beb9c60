"""Who may come in, and who may change something: decided here for every path, before a route is chosen.

A route that is forgotten here is one that needs a known identity, an operator for a change, and a CSRF token in a form.
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
"""What is posted there changes nothing that others see, so that viewers may."""
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class AuthMiddleware:
    """Lets in who is known, and lets change who is an operator and means it.

    Args:
        app: What lies behind the door; it finds who asks as `request.state.identity`.
        authenticator: Tells who asks.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._doorkeeper = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        Raises:
            HTTPException: 401 for somebody unknown, 403 for who may not, or does not show that they mean it.
            StoreError: The database can't be reached.
        """
        if is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        identity = await self._doorkeeper.recognise(request)
        if identity is None:
            await _show_login(request)(scope, receive, send)
            return
        request.state.identity = identity
        if request.method not in SAFE_METHODS:
            if scope["path"] not in _NO_CHANGE:
                require_operator(identity)
            receive = await _meant(request, identity)
        await self._app(scope, receive, send)


def is_public(path: str) -> bool:
    """Tell whether a path is open to everybody.

    Args:
        path: The path.
    """
    return path in _PUBLIC or path.startswith("/static/")


def _show_login(request: Request) -> RedirectResponse:
    """Send somebody unknown to the login page, if they came for a page; programs are told."""
    if not is_page(request.scope["path"]) or "text/html" not in request.headers.get("Accept", ""):
        raise unauthorized("This needs a token: Authorization: Bearer jt_…")
    if request.method not in SAFE_METHODS:
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    path, query = request.scope["raw_path"], request.scope["query_string"]
    asked = path + b"?" + query if query else path
    return RedirectResponse(f"/login?next={quote(asked, safe='/')}", HTTPStatus.SEE_OTHER)


async def _meant(request: Request, identity: Identity) -> Receive:
    """Refuse a change that a browser may have been tricked into.

    A bearer token is sent by programs only. JSON without a session comes from a program on this machine: another site's
    page can't send that, as its browser would ask first whether it may, and gets no such leave.

    Returns:
        What reads the body; it may have been read here to find the token in it.
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
            f"The form is out of date: load the page anew, and send it again. (Programs send a bearer token, or the "
            f"page's token as {CSRF_FIELD} or {CSRF_HEADER}.)",
        )
    return receive


def _again(body: bytes, receive: Receive) -> Receive:
    """Let a body that was read be read again; what comes after it is the caller's going away."""
    is_read = False

    async def receive_again() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again

"""The application: its routers and middleware, and the headers of every answer."""

import time
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobtrail.models.settings import Settings
from jobtrail.store.database import Database
from jobtrail.web import health
from jobtrail.web.api import stream
from jobtrail.web.api.openapi import describe_api
from jobtrail.web.api.router import router as api_router
from jobtrail.web.auth import login, pusher_auth
from jobtrail.web.auth.guard import Guard
from jobtrail.web.auth.hosts import is_https, public_origin
from jobtrail.web.auth.middleware import AuthMiddleware
from jobtrail.web.clowder.router import router as clowder_router
from jobtrail.web.conditional import ConditionalAnswers
from jobtrail.web.error_page import is_page
from jobtrail.web.errors import add_error_handlers
from jobtrail.web.live import page_notifier
from jobtrail.web.live.hub import Hub
from jobtrail.web.pages.router import router as pages_router
from jobtrail.web.parts import Parts, make_parts
from jobtrail.web.paths import routed_path

log = structlog.get_logger()

STATIC = Path(__file__).parent / "static"

_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
_SECURITY_HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_HTTPS_ONLY = {"Strict-Transport-Security": "max-age=31536000"}


_ROUTERS = (
    health.router,
    login.router,
    pusher_auth.router,
    pages_router,
    page_notifier.router,
    stream.router,
    api_router,
    clowder_router,
)
"""All routes. Who may use them: `web.auth.middleware`."""


def make_app(settings: Settings, database: Database, hub: Hub | None = None) -> ASGIApp:
    """Make the application; without a hub, its streams and open pages get no news."""
    return _Frame(make_routes(make_parts(settings, database, hub)), is_https=is_https(settings))


def make_routes(parts: Parts) -> FastAPI:
    """Make the routes with their middleware, without the security headers and the log of requests around them."""
    # FastAPI's own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title="JobTrail", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.parts = parts
    add_error_handlers(app)
    for router in _ROUTERS:
        app.include_router(router)
    describe_api(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    # The last one is the outermost. The guard and the authentication refuse by exceptions; the outermost answers those.
    app.add_middleware(ConditionalAnswers)
    app.add_middleware(_Zip)
    app.add_middleware(AuthMiddleware, authenticator=parts.authenticator)
    app.add_middleware(Guard, public=public_origin(parts.settings))
    refusals = {kind: answer for kind, answer in app.exception_handlers.items() if kind is not Exception}
    app.add_middleware(ExceptionMiddleware, handlers=refusals)
    return app


class _Zip:
    """Compresses answers to programs and static files.

    Pages stay as they are: they hold a CSRF token beside what others wrote, and their compressed size would leak
    the token (BREACH).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._zipped = GZipMiddleware(app, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._zipped if scope["path"].startswith(("/api/", "/static/")) else self._app
        await app(scope, receive, send)


class _Frame:
    """Wraps the whole application, so that the answer to an unexpected error passes through here too."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._headers = _SECURITY_HEADERS | (_HTTPS_ONLY if is_https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: decode its path, add the security headers, log it."""
        started_s = time.perf_counter()
        scope["path"] = path = routed_path(scope["raw_path"])
        headers = self._headers | _headers_of(path)

        async def send_framed(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in headers.items():
                    sent.setdefault(name, value)
                log.debug(
                    "Request",
                    action="web.request",
                    method=scope["method"],
                    path=scope["raw_path"].decode("ascii", "replace"),
                    status=int(message["status"]),
                    duration_ms=round((time.perf_counter() - started_s) * 1000, 1),
                )
            await send(message)

        await self._app(scope, receive, send_framed)


def _headers_of(path: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": _PAGE_POLICY if is_page(path) else _DATA_POLICY,
        # A browser keeps static files, and asks each time whether they have changed.
        "Cache-Control": "no-cache" if path.startswith("/static/") else "no-store",
    }

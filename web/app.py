"""The application: its parts put together, and what holds for each of its answers."""

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import MutableHeaders
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from jobtrail.models.errors import StoreError
from jobtrail.models.settings import Settings
from jobtrail.reconciler.channels.pusher import pusher_client
from jobtrail.store.database import Database
from jobtrail.web.api.openapi import describe_api
from jobtrail.web.api.router import api_router
from jobtrail.web.api.stream import stream_router
from jobtrail.web.auth.admission import AuthMiddleware
from jobtrail.web.auth.guard import Guard
from jobtrail.web.auth.hosts import is_https, public_origin
from jobtrail.web.auth.login import login_router
from jobtrail.web.auth.pusher_auth import pusher_auth_router
from jobtrail.web.clowder.router import clowder_router
from jobtrail.web.conditional import ConditionalAnswers
from jobtrail.web.error_page import is_page
from jobtrail.web.live.hub import Hub
from jobtrail.web.live.pulse import pulse_router
from jobtrail.web.pages.audit import audit_page_router
from jobtrail.web.pages.dataset import dataset_page_router
from jobtrail.web.pages.datasets import datasets_page_router
from jobtrail.web.pages.dead_letters.accounting import conservation_page_router
from jobtrail.web.pages.dead_letters.acts import dead_letters_acts_router
from jobtrail.web.pages.dead_letters.letter import dead_letter_page_router
from jobtrail.web.pages.dead_letters.list import dead_letters_list_router
from jobtrail.web.pages.dead_letters.page import dead_letters_page_router
from jobtrail.web.pages.dead_letters.replays import replays_page_router
from jobtrail.web.pages.extractors import extractors_page_router
from jobtrail.web.pages.incidents import incidents_page_router
from jobtrail.web.pages.jobs.list import jobs_page_router
from jobtrail.web.pages.jobs.one import job_page_router
from jobtrail.web.pages.jobs.resource import resource_page_router
from jobtrail.web.pages.notifications import notifications_page_router
from jobtrail.web.pages.outbox import outbox_page_router
from jobtrail.web.pages.overview import overview_page_router
from jobtrail.web.parts import Parts, make_parts
from jobtrail.web.paths import routed_path
from jobtrail.web.problem import tell_problems

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


def _health(parts: Parts) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/health")
    async def health() -> JSONResponse:
        try:
            await parts.database.ping()
        except StoreError as error:
            log.warning("No database", action="web.no_database", error=str(error))
            return JSONResponse({"ok": False, "state": "no database"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return JSONResponse({"ok": True})

    return router


def _pusher_auth(parts: Parts) -> APIRouter:
    url = parts.settings.pusher_url
    pusher = pusher_client(url.get_secret_value()) if url else None
    return pusher_auth_router(parts.authenticator, parts.datasets, pusher)


_ROUTERS: tuple[Callable[[Parts], APIRouter], ...] = (
    _health,
    login_router,
    _pusher_auth,
    audit_page_router,
    overview_page_router,
    incidents_page_router,
    extractors_page_router,
    jobs_page_router,
    job_page_router,
    resource_page_router,
    datasets_page_router,
    dataset_page_router,
    notifications_page_router,
    outbox_page_router,
    dead_letters_page_router,
    dead_letters_list_router,
    dead_letters_acts_router,
    replays_page_router,
    conservation_page_router,
    # Its addresses take any word, so those with a name of their own go before it.
    dead_letter_page_router,
    pulse_router,
    stream_router,
    api_router,
    clowder_router,
)
"""Everything that can be asked for. Who may ask for it: `web.auth.admission`."""


def make_app(settings: Settings, database: Database, hub: Hub | None = None) -> ASGIApp:
    """Make the application.

    Args:
        settings: The settings.
        database: The trail's database, open.
        hub: What feeds the streams and the open pages; without one they hear of nothing.

    Returns:
        The application.

    Raises:
        SettingError: A setting is unusable.
    """
    return _Frame(make_routes(make_parts(settings, database, hub)), is_https=is_https(settings))


def make_routes(parts: Parts) -> FastAPI:
    """Make all routes, behind the guard and the door.

    Args:
        parts: The parts of the application.

    Returns:
        The application without its frame.

    Raises:
        SettingError: A setting is unusable.
    """
    # FastAPI's own pages of documentation load scripts from elsewhere.
    app = FastAPI(
        title="JobTrail", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None, redirect_slashes=False
    )
    tell_problems(app, parts.renderer)
    for router in _ROUTERS:
        app.include_router(router(parts))
    describe_api(app)
    app.mount("/static", StaticFiles(directory=STATIC))
    # The last one is the outermost. The guard and the door refuse by exceptions, which become answers before them.
    app.add_middleware(ConditionalAnswers)
    app.add_middleware(_Zip)
    app.add_middleware(AuthMiddleware, authenticator=parts.authenticator)
    app.add_middleware(Guard, public=public_origin(parts.settings))
    refusals = {kind: tell for kind, tell in app.exception_handlers.items() if kind is not Exception}
    app.add_middleware(ExceptionMiddleware, handlers=refusals)
    return app


class _Zip:
    """Compresses answers to programs and static files.

    Not pages: they hold a CSRF token beside what others wrote, and the size of both together would tell of it (BREACH).
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._zipped = GZipMiddleware(app, compresslevel=5)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        app = self._zipped if scope["path"].startswith(("/api/", "/static/")) else self._app
        await app(scope, receive, send)


class _Frame:
    """Goes around the application: also what answers an unexpected error passes through here."""

    def __init__(self, app: ASGIApp, *, is_https: bool) -> None:
        self._app = app
        self._headers = _SECURITY_HEADERS | (_HTTPS_ONLY if is_https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: read its path, add the security headers, note it in the log."""
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

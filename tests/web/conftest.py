import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from starlette.types import ASGIApp

from jobtrail.models.settings import Settings
from jobtrail.models.token import Role
from jobtrail.store.access.tokens import TokenRepository
from jobtrail.store.database import Database
from jobtrail.web.app import make_app
from jobtrail.web.service import run_web
from tests.support import WAIT_S

PUSHER_KEY, PUSHER_SECRET = "app-key", "app-secret"


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The web, on a free port, and a client of it."""
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    service = asyncio.create_task(run_web(settings, stop, on_ready=ready.set_result))
    await asyncio.wait({service, ready}, return_when=asyncio.FIRST_COMPLETED)
    if service.done():
        await service
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{ready.result()}", timeout=WAIT_S) as client:
            yield client
    finally:
        stop.set()
        await service


def client_of(app: ASGIApp, token: str | None = None, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
    """A client of an application in this process; it shows a token, and comes from an address."""
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, client=(address, 4711), raise_app_exceptions=False),
        base_url="http://127.0.0.1:8080",
        headers={} if token is None else {"Authorization": f"Bearer {token}"},
    )


Asking = Callable[..., httpx.AsyncClient]


@pytest.fixture
def asking(settings: Settings, database: Database) -> Asking:
    """Makes clients of the web in this process: `asking(token, address=…, web_auth="tokens")`."""

    def make(token: str | None = None, *, address: str = "127.0.0.1", **changes: object) -> httpx.AsyncClient:
        return client_of(make_app(settings.model_copy(update=changes), database), token, address=address)

    return make


class Tokens:
    """Makes tokens."""

    def __init__(self, repository: TokenRepository) -> None:
        self.repository = repository

    async def make(
        self,
        name: str = "a-token",
        *,
        role: Role = Role.VIEWER,
        user: str | None = None,
        expires_s: float | None = None,
    ) -> str:
        now = datetime.now(UTC)
        expires_at = None if expires_s is None else now + timedelta(seconds=expires_s)
        _, secret = await self.repository.create(name, role=role, user_id=user, now=now, expires_at=expires_at)
        return secret


@pytest.fixture
def tokens(database: Database) -> Tokens:
    return Tokens(TokenRepository(database))


@pytest.fixture
def web_settings(settings: Settings) -> Settings:
    """Settings with Pusher on; nobody listens at its address."""
    url = SecretStr(f"http://{PUSHER_KEY}:{PUSHER_SECRET}@127.0.0.1:9/apps/1")
    return settings.model_copy(update={"pusher_url": url})


@pytest.fixture
async def web(web_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(web_settings) as client:
        yield client

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from jobtrail.models.settings import Settings
from tests.cli.support import store_updates
from tests.web.conftest import Asking

Store = Callable[..., Awaitable[None]]
Get = Callable[..., Awaitable[Any]]


@pytest.fixture
async def client(asking: Asking) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the open web."""
    async with asking() as client:
        yield client


@pytest.fixture
def get(client: httpx.AsyncClient) -> Get:
    """Asks for something that is there: `await get(path, name=value)`."""

    async def ask(path: str, **query: Any) -> Any:
        answer = await client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        return answer.json()

    return ask


@pytest.fixture
def store(settings: Settings) -> Store:
    """Stores status updates as the consumer does; they may be stored in several goes."""

    async def keep(*updates: dict[str, object]) -> None:
        await store_updates(settings, updates)

    return keep
